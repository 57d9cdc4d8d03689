"""Random scale, crop, mirroring and colors of images with masks, by torchvision's transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from nas.data.masks.coding import IGNORED
from nas.randomness import global_seed
from nas.tasks.augmentation.draws import Draws
from nas.tasks.settings import SegmentSettings

GRAY = 114
"""Around an image that is smaller than its crop; the mask is ignored there."""

Change = Callable[..., Any]


def transforms(settings: SegmentSettings, *, flip: bool, size_px: int) -> Change:
    """Return what happens to one image and its mask.

    Colors change last: most crops have fewer pixels than the image.
    """
    smallest, largest = (round(scale * size_px) for scale in (settings.smallest, settings.largest))
    steps: list[torch.nn.Module] = [
        v2.RandomResize(smallest, largest + 1),
        v2.RandomCrop(
            size_px,
            pad_if_needed=True,
            fill={tv_tensors.Image: GRAY, tv_tensors.Mask: IGNORED},
        ),
    ]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    if settings.distort:
        steps.append(v2.RandomPhotometricDistort(p=settings.distort))
    change: Change = v2.Compose(steps)
    return change


def augmented(
    images: Tensor, masks: Tensor, change: Change, *, size_px: int, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Change each image of a batch, and its mask with it.

    Args:
        images: uint8 (N, 3, S, S); not modified.
        masks: uint8 (N, S, S); not modified.
        change: From `transforms`.
        size_px: Side of the results.
        draws: Seed torch's global generator for each image, which the transforms draw from.

    Returns:
        uint8 (N, 3, size_px, size_px), channels last in memory, and masks (N, size_px, size_px).
    """
    pixels = images.new_empty((len(images), 3, size_px, size_px))
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    changed = masks.new_empty((len(masks), size_px, size_px))
    for index, seed in enumerate(draws.below(2**62).tolist()):
        with global_seed(seed):
            pixels[index], changed[index] = change(
                tv_tensors.Image(images[index]), tv_tensors.Mask(masks[index])
            )
    return pixels, changed
