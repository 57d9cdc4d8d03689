"""Names of colors beside an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from nas.data.masks.coding import Color
from nas.tasks.drawing.lettering import lettering

LEGEND_PX, ROW_PX, SWATCH_PX = 150, 20, 12
LONGEST_NAME = 18
"""Characters that fit beside the swatch."""


def with_legend(pixels: Tensor, colors: Mapping[str, Color], *, classes: Sequence[str]) -> Tensor:
    """Name colors to the right of an image.

    Args:
        pixels: uint8 (3, H, W), on the CPU.
        colors: Color of each name; see `Prediction.colors`.
        classes: Names of all classes.

    Returns:
        uint8 (3, max(H, height of the legend), W + 150); the image itself if there are no names.
    """
    if not colors:
        return pixels
    height, width = pixels.shape[-2:]
    sheet = Image.new("RGB", (width + LEGEND_PX, max(height, ROW_PX * len(colors))), "white")
    sheet.paste(Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()), (0, 0))
    letters = lettering(tuple(classes))
    pen, font = ImageDraw.Draw(sheet), letters.beside_images()
    for row, (name, color) in enumerate(colors.items()):
        left, top = width + 6, row * ROW_PX + (ROW_PX - SWATCH_PX) // 2
        pen.rectangle((left, top, left + SWATCH_PX, top + SWATCH_PX), fill=color)
        place = left + SWATCH_PX + 6, row * ROW_PX + 2
        text = letters.written.get(name, name)
        pen.text(place, text[:LONGEST_NAME], fill="black", font=font)
    return torch.from_numpy(np.array(sheet)).permute(2, 0, 1)
