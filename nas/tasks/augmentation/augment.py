"""Random augmentation of a whole batch at once, drawn for each image separately."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nas.data.share import WHOLE, Share
from nas.randomness import global_seed
from nas.tasks.augmentation.draws import Draws
from nas.tasks.settings import Augment

LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def normalize(images: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Convert uint8 pixels to a network's input: `(pixel / 255 - mean) / std`.

    Args:
        images: uint8 or float (N, 3, H, W), 0..255; not modified.
        mean: per channel, of pixels in 0..1.
        std: per channel, of pixels in 0..1.

    Returns:
        float32 (N, 3, H, W), channels last in memory.
    """
    shape = (1, len(mean), 1, 1)
    deviation = torch.tensor(std, device=images.device).view(shape)
    shift = torch.tensor(mean, device=images.device).view(shape)
    floats = images.to(torch.float32, memory_format=torch.channels_last, copy=True)
    return floats.sub_(255 * shift).div_(255 * deviation)


def augment(
    images: Tensor,
    settings: Augment,
    *,
    generator: torch.Generator,
    size_px: int | None = None,
    share: Share = WHOLE,
) -> Tensor:
    """Crop or shift and mirror images, apply the policy, change their light and color, erase rectangles.

    Every image has its own draw.

    Args:
        images: uint8 (N, C, S, S); not modified. With random crops S may be larger than `size_px`.
        settings: What to do and how strongly.
        generator: On the device of the images.
        size_px: Side of the result; None is that of the images.
        share: Which part of a batch the images are.

    Returns:
        uint8 (N, C, size_px, size_px), channels last in memory.
    """
    height, width = images.shape[-2:]
    size_px = height if size_px is None else size_px
    draws = Draws(generator, len(images), share)
    mirrored = draws.coins() & settings.flip
    if settings.crop_area < 1 or size_px != height:
        box = random_boxes(settings, draws)
        changed = crop_and_mirror(images, box, mirrored=mirrored, size_px=size_px)
    else:
        pad = round(settings.pad_fraction * min(height, width))
        down, right = draws.below(2 * pad + 1), draws.below(2 * pad + 1)
        changed = shift_and_mirror(images, mirrored=mirrored, down=down, right=right, pad=pad)
    if settings.policy != "none":
        changed = apply_policy(changed, settings.policy, draws=draws)
    if settings.brightness or settings.contrast or settings.saturation:
        changed = _relight(changed, settings, draws)
    if settings.hue:
        changed = _turn_hue(changed, settings.hue, draws)
    if settings.erase_probability:
        changed = _erase(changed, settings.erase_probability, draws)
    return changed


def random_boxes(settings: Augment, draws: Draws) -> Tensor:
    """Draw crops inside of a square of side 1: uniform in area, log-uniform in aspect ratio, then in place.

    A side that would be longer than the square is cut to it.

    Returns:
        float32 (N, 4): left, top, width, height.
    """
    uniform = draws.uniform(4)
    area = settings.crop_area + (1 - settings.crop_area) * uniform[0]
    ratio = torch.exp((2 * uniform[1] - 1) * math.log(settings.crop_ratio))
    wide = (area * ratio).sqrt().clamp_(max=1)
    high = (area / ratio).sqrt().clamp_(max=1)
    return torch.stack([uniform[2] * (1 - wide), uniform[3] * (1 - high), wide, high], dim=1)


def crop_and_mirror(images: Tensor, boxes: Tensor, *, mirrored: Tensor, size_px: int) -> Tensor:
    """Resize a crop of each image bilinearly, and mirror some of them, in one pass.

    Args:
        images: uint8 (N, C, S, S).
        boxes: float32 (N, 4): left, top, width, height, as fractions of S.
        mirrored: bool (N,): whether the crop is mirrored left to right.
        size_px: Side of the result.

    Returns:
        uint8 (N, C, size_px, size_px), channels last in memory.
    """
    left, top, wide, high = boxes.unbind(1)
    side = images.shape[-1]
    middle = (torch.arange(size_px, device=images.device) + 0.5) / size_px  # (size,)
    across = torch.where(mirrored[:, None], 1 - middle, middle)  # (N, size)
    x = (left[:, None] + wide[:, None] * across) * side - 0.5  # (N, size), in pixels of the image
    y = (top[:, None] + high[:, None] * middle) * side - 0.5
    columns, column_weights = _between(x, side)
    rows, row_weights = _between(y, side)
    sample = torch.arange(len(images), device=images.device)[:, None]
    # Rows and columns are separate: four gathers of whole lines are faster than a sampling grid.
    lines = images.permute(0, 2, 3, 1)  # (N, S, S, C)
    upper, lower = (lines[sample, r].float() for r in rows)  # (N, size, S, C)
    mixed = torch.lerp(upper, lower, row_weights[:, :, None, None]).transpose(1, 2)
    before, after = (mixed[sample, c] for c in columns)  # (N, size, size, C), transposed
    crops = torch.lerp(before, after, column_weights[:, :, None, None]).transpose(1, 2)
    return crops.round_().to(torch.uint8).contiguous().permute(0, 3, 1, 2)


def _between(position: Tensor, side: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the pixels before and after each position, and the weight of the one after."""
    position = position.clamp(0, side - 1)
    before = position.floor().long().clamp_(max=max(side - 2, 0))
    return (before, (before + 1).clamp_(max=side - 1)), position - before


def apply_policy(images: Tensor, policy: str, *, draws: Draws) -> Tensor:
    """Change each image by torchvision's TrivialAugmentWide or RandAugment.

    Args:
        images: uint8 (N, 3, H, W).
        policy: `trivialaugment` or `randaugment`.
        draws: Seed torch's global generator for each image, which the transforms draw from.

    Returns:
        uint8 (N, 3, H, W), channels last in memory.
    """
    from torchvision.transforms import v2

    change = v2.TrivialAugmentWide() if policy == "trivialaugment" else v2.RandAugment()
    changed = []
    for image, seed in zip(images, draws.below(2**62).tolist(), strict=True):
        with global_seed(seed):
            changed.append(change(image))
    return torch.stack(changed).contiguous(memory_format=torch.channels_last)


def shift_and_mirror(
    images: Tensor, *, mirrored: Tensor, down: Tensor, right: Tensor, pad: int
) -> Tensor:
    """Pad with black, crop a window of the original size from each image, mirror some of them.

    Args:
        images: (N, C, H, W).
        mirrored: bool (N,): whether the window is mirrored left to right.
        down: int64 (N,) in 0..2*pad: the window's top edge in the padded image.
        right: int64 (N,) in 0..2*pad: its left edge.
        pad: pixels of black on every side.

    Returns:
        (N, C, H, W), channels last in memory.
    """
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    rows = down[:, None] + torch.arange(height, device=images.device)  # (N, H)
    columns = torch.arange(width, device=images.device).expand(count, width)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns) + right[:, None]
    sample = torch.arange(count, device=images.device)[:, None, None]
    # The slice between the indices moves channels to the end: channels-last at no cost.
    gathered = padded[sample, :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return gathered.permute(0, 3, 1, 2)


def _relight(images: Tensor, settings: Augment, draws: Draws) -> Tensor:
    """Scale each image's brightness, its contrast around its own mean, and its distance from gray."""
    light = 1 + settings.brightness * draws.signed()
    spread = 1 + settings.contrast * draws.signed()
    floats = images.float() * light
    centre = floats.mean(dim=(1, 2, 3), keepdim=True)
    floats = (floats - centre) * spread + centre
    if settings.saturation:
        depth = 1 + settings.saturation * draws.signed()
        luma = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
        gray = (floats * luma).sum(dim=1, keepdim=True)
        floats = torch.lerp(gray, floats, depth)
    return floats.round_().clamp_(0, 255).to(torch.uint8)


def _turn_hue(images: Tensor, most: float, draws: Draws) -> Tensor:
    """Rotate colors around the gray axis of YIQ, by up to `most` of the circle."""
    angle = 2 * math.pi * most * draws.signed().flatten()
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    one = torch.ones_like(angle)
    turn = torch.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine], dim=1)
    to_yiq = torch.tensor(YIQ, device=images.device)
    whole = torch.linalg.inv(to_yiq) @ turn.view(-1, 3, 3) @ to_yiq  # (N, 3, 3)
    turned = torch.einsum("nij,njhw->nihw", whole, images.float())
    return (
        turned.round_().clamp_(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)
    )


def _erase(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """Blacken a rectangle of a quarter to a half of each side, with this probability."""
    height, width = images.shape[-2:]
    hit = draws.uniform() < probability
    inside_rows = _random_span(height, draws)  # (N, H)
    inside_columns = _random_span(width, draws)  # (N, W)
    hole = hit[:, None, None] & inside_rows[:, :, None] & inside_columns[:, None, :]
    return images.masked_fill(hole[:, None], 0)


def _random_span(length: int, draws: Draws) -> Tensor:
    uniform = draws.uniform(2)[..., None]  # (2, N, 1)
    size = length * (0.25 + 0.25 * uniform[0])
    start = uniform[1] * (length - size)
    position = torch.arange(length, device=draws.device)
    return (position >= start) & (position < start + size)
