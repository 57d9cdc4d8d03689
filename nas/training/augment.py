"""Random augmentation of a whole batch at once, drawn for each image separately."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.training.recipe import Augment


def normalize(images: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Convert uint8 pixels to a network's input: `(pixel / 255 - mean) / std`.

    Args:
        images: uint8 (N, 3, H, W).
        mean: per channel, of pixels in 0..1.
        std: per channel, of pixels in 0..1.

    Returns:
        float32 (N, 3, H, W), channels last in memory.
    """
    shape = (1, len(mean), 1, 1)
    deviation = torch.tensor(std, device=images.device).view(shape)
    shift = torch.tensor(mean, device=images.device).view(shape)
    floats = images.to(torch.float32, memory_format=torch.channels_last)
    return floats.sub_(255 * shift).div_(255 * deviation)


def augment(images: Tensor, settings: Augment, *, generator: torch.Generator) -> Tensor:
    """Shift and mirror images; optionally change their light and erase rectangles.

    Every image has its own draw.

    Args:
        images: uint8 (N, C, H, W); not modified.
        settings: What to do and how strongly.
        generator: On the device of the images.

    Returns:
        uint8 (N, C, H, W), channels last in memory.
    """
    count, height, width = len(images), *images.shape[-2:]
    pad = round(settings.pad_fraction * min(height, width))
    mirrored = _coins(count, generator) & settings.flip
    down = _integers(count, 2 * pad + 1, generator)
    right = _integers(count, 2 * pad + 1, generator)
    changed = shift_and_mirror(images, mirrored=mirrored, down=down, right=right, pad=pad)
    if settings.brightness or settings.contrast:
        changed = _relight(changed, settings, generator)
    if settings.erase_probability:
        changed = _erase(changed, settings.erase_probability, generator)
    return changed


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


def _relight(images: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """Scale the brightness of each image, then its contrast around its own mean."""
    count = len(images)
    light = 1 + settings.brightness * _signed(count, generator)
    spread = 1 + settings.contrast * _signed(count, generator)
    floats = images.float() * light
    centre = floats.mean(dim=(1, 2, 3), keepdim=True)
    return ((floats - centre) * spread + centre).round_().clamp_(0, 255).to(torch.uint8)


def _erase(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Blacken a rectangle of a quarter to a half of each side, with this probability."""
    count, _, height, width = images.shape
    hit = torch.rand(count, generator=generator, device=images.device) < probability
    inside_rows = _random_span(count, height, generator)  # (N, H)
    inside_columns = _random_span(count, width, generator)  # (N, W)
    hole = hit[:, None, None] & inside_rows[:, :, None] & inside_columns[:, None, :]
    return images.masked_fill(hole[:, None], 0)


def _random_span(count: int, length: int, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(2, count, 1, generator=generator, device=generator.device)
    size = length * (0.25 + 0.25 * uniform[0])
    start = uniform[1] * (length - size)
    position = torch.arange(length, device=generator.device)
    return (position >= start) & (position < start + size)


def _coins(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device) < 0.5


def _integers(count: int, below: int, generator: torch.Generator) -> Tensor:
    return torch.randint(below, (count,), generator=generator, device=generator.device)


def _signed(count: int, generator: torch.Generator) -> Tensor:
    """Draw uniformly from -1..1, (N, 1, 1, 1)."""
    return 2 * torch.rand(count, 1, 1, 1, generator=generator, device=generator.device) - 1
