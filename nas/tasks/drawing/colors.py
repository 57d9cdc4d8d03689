"""The color in which a class is drawn."""

from __future__ import annotations

from nas.data.masks.coding import IGNORED, Color
from nas.data.masks.labels import voc_color


def color(class_index: int) -> Color:
    """Return the color of a class: Pascal VOC's, without black; nearly white for ignored pixels.

    >>> color(0), color(1), color(255)
    ((128, 0, 0), (0, 128, 0), (224, 224, 192))
    """
    return voc_color(min(class_index + 1, IGNORED))
