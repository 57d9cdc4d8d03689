"""Draw a mask over its image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.utils import draw_segmentation_masks

from nas.data.masks.coding import IGNORED
from nas.tasks.drawing.colors import color

BACKGROUND = "background"
"""A class of this name is left as it is."""

OPACITY = 0.55


def overlaid(pixels: Tensor, mask: Tensor, classes: Sequence[str]) -> Tensor:
    """Tint the pixels of each class by its color.

    Args:
        pixels: uint8 (3, H, W), on the CPU; not modified.
        mask: Class indices, uint8 (H, W); 255 is ignored.
        classes: Names of the classes.

    Returns:
        uint8 (3, H, W).
    """
    shown = shown_classes(mask, classes)
    if not shown:
        return pixels.clone()
    layers = torch.stack([mask == index for index in shown])
    colors = [color(index) for index in shown]
    tinted: Tensor = draw_segmentation_masks(pixels, layers, alpha=OPACITY, colors=colors)
    return tinted


def shown_classes(mask: Tensor, classes: Sequence[str]) -> list[int]:
    """Return which classes of a mask are drawn: all that occur, but for the background."""
    found = torch.unique(mask).tolist()
    return [index for index in found if index == IGNORED or classes[index].lower() != BACKGROUND]
