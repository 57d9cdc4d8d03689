"""A picture of images in rows, each with lines of text below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont
from PIL.ImageFont import ImageFont as PlainFont

GAP = 8
LINE = 18
FONT_SIZE = 14


@dataclass(frozen=True)
class Captioned:
    """An image, uint8 (3, S, S), and the lines below it."""

    pixels: NDArray[np.uint8]
    lines: tuple[str, ...]


def contact_sheet(shown: Sequence[Captioned], *, columns: int = 5) -> Image.Image:
    """Draw images of equal size from left to right and top to bottom.

    >>> shown = Captioned(np.zeros((3, 100, 100), np.uint8), ("cat", "looks like dog"))
    >>> contact_sheet([shown] * 3, columns=2).size
    (224, 296)

    Args:
        shown: One image or more; a line that is wider than its image is shortened.
        columns: Images in a row, at most.
    """
    side = shown[0].pixels.shape[-1]
    height = side + LINE * max(len(one.lines) for one in shown) + GAP
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * (side + GAP) + GAP, rows * height + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=FONT_SIZE)
    for number, one in enumerate(shown):
        left = GAP + number % columns * (side + GAP)
        top = GAP + number // columns * height
        sheet.paste(Image.fromarray(one.pixels.transpose(1, 2, 0).copy()), (left, top))
        for row, line in enumerate(one.lines):
            place = (left, top + side + row * LINE)
            pen.text(place, _shortened(line, side, font), fill="black", font=font)
    return sheet


def _shortened(text: str, width: int, font: FreeTypeFont | PlainFont) -> str:
    """Cut a text to a width in pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
