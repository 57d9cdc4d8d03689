"""Draw a mask over its image, with a legend of the classes in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import draw_segmentation_masks

from nas.data.masks.coding import IGNORED
from nas.tasks.colors import color

BACKGROUND = "background"
"""A class of this name is left as it is."""

OPACITY = 0.55
LEGEND_PX, ROW_PX, SWATCH_PX = 150, 20, 12


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


def with_legend(pixels: Tensor, shown: Sequence[int], classes: Sequence[str]) -> Tensor:
    """Name the colors of classes to the right of an image.

    Args:
        pixels: uint8 (3, H, W), on the CPU.
        shown: Indices of the classes; see `shown_classes`.
        classes: Names of the classes.

    Returns:
        uint8 (3, max(H, height of the legend), W + 150).
    """
    height, width = pixels.shape[-2:]
    sheet = Image.new("RGB", (width + LEGEND_PX, max(height, ROW_PX * len(shown))), "white")
    sheet.paste(Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()), (0, 0))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for row, index in enumerate(shown):
        left, top = width + 6, row * ROW_PX + (ROW_PX - SWATCH_PX) // 2
        pen.rectangle((left, top, left + SWATCH_PX, top + SWATCH_PX), fill=color(index))
        name = "ignored" if index == IGNORED else classes[index]
        pen.text((left + SWATCH_PX + 6, row * ROW_PX + 2), name[:18], fill="black", font=font)
    return torch.from_numpy(np.array(sheet)).permute(2, 0, 1)


def shown_classes(mask: Tensor, classes: Sequence[str]) -> list[int]:
    """Return which classes of a mask are drawn: all that occur, but for the background."""
    found = torch.unique(mask).tolist()
    return [index for index in found if index == IGNORED or classes[index].lower() != BACKGROUND]
