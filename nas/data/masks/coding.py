"""How the pixels of masks stand for classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IGNORED = 255
"""Pixels of this class are neither learned nor counted."""

MOST_CLASSES = IGNORED
UNDEFINED = -1
NAMED = 5
AT_ONCE = 2**21
"""Pixels whose colors are looked up at once: some 60 MB."""

_VALUES = frozenset(("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N"))
_COLORS = frozenset(("RGB", "RGBA"))

Color = tuple[int, int, int]


class WrongMaskError(ValueError):
    """What is wrong with a mask, in a few words."""


@dataclass(frozen=True, eq=False)
class Coding:
    """The classes that the pixels of a data set's masks stand for.

    Attributes:
        values: Of a mask with one channel: the class index of each value, int16 (256,); 255 for ignored
            pixels, -1 for values that stand for nothing.
        scheme: Which values there are, for error messages.
        colors: Of a color mask: the class index of each color, 255 for ignored pixels. Empty if the data
            set does not say.
    """

    values: NDArray[np.int16]
    scheme: str
    colors: Mapping[Color, int] = field(default_factory=dict)

    @classmethod
    def of_indices(cls, classes: int, colors: Mapping[Color, int] | None = None) -> Coding:
        """Return the coding of masks that hold class indices, and 255 for ignored pixels.

        >>> Coding.of_indices(2).values[[0, 1, 2, 255]].tolist()
        [0, 1, -1, 255]
        """
        return cls.of_values(
            {index: index for index in range(classes)} | {IGNORED: IGNORED},
            f"0 to {classes - 1} are classes, {IGNORED} is ignored",
            colors,
        )

    @classmethod
    def of_values(
        cls, classes: Mapping[int, int], scheme: str, colors: Mapping[Color, int] | None = None
    ) -> Coding:
        """Return the coding of masks that hold some values, each with its class."""
        values = np.full(256, UNDEFINED, np.int16)
        values[list(classes)] = list(classes.values())
        return cls(values, scheme, colors or {})

    def key(self) -> str:
        """Return a string that is the same for equal codings only."""
        return f"{self.values.tolist()}|{sorted(self.colors.items())}"


def class_indices(mask: Image.Image, coding: Coding) -> NDArray[np.uint8]:
    """Return the class of each pixel of a mask, (H, W); 255 where it is ignored.

    A palette image holds indices. Where the data set describes colors and those of the palette are among
    them, the colors count instead: programs differ in the order of a palette.

    Args:
        mask: As Pillow opened it.
        coding: That of its data set.

    Raises:
        WrongMaskError: It has values or colors that stand for no class.
    """
    if mask.mode == "P" and coding.colors:
        values = np.asarray(mask)
        classes = _palette_classes(mask, values, coding.colors)
        if classes is not None:
            return np.take(classes, values)
    if mask.mode in _VALUES:
        return _of_values(np.asarray(mask), coding)
    if mask.mode not in _COLORS:
        raise WrongMaskError(f"has mode {mask.mode}: save one class index a pixel")
    if not coding.colors:
        raise WrongMaskError(
            "is a color image, and no labelmap.txt says which color is which class: save one class index "
            "a pixel, or describe the colors"
        )
    return _of_colors(np.asarray(mask.convert("RGB")), coding.colors)


def _of_values(values: NDArray[np.integer], coding: Coding) -> NDArray[np.uint8]:
    if values.dtype not in (np.uint8, np.bool_):  # of 16 or 32 bits
        outside = values[(values < 0) | (values > IGNORED)]
        _require_none(outside, coding)
    narrow = values.astype(np.uint8)
    looked_up = coding.values[narrow]
    _require_none(narrow[looked_up == UNDEFINED], coding)
    classes: NDArray[np.uint8] = looked_up.astype(np.uint8)
    return classes


def _require_none(wrong: NDArray[np.integer], coding: Coding) -> None:
    if wrong.size:
        shown = _listed(str(value) for value in np.unique(wrong).tolist())
        raise WrongMaskError(f"has values that stand for no class: {shown} ({coding.scheme})")


def _palette_classes(
    mask: Image.Image, values: NDArray[np.uint8], colors: Mapping[Color, int]
) -> NDArray[np.uint8] | None:
    """Return the class of each index (256,); None if the mask uses a color that is not described."""
    palette = np.array(mask.getpalette("RGB"), np.int64).reshape(-1, 3)
    classes = np.full(256, IGNORED, np.uint8)
    for value in np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist():
        color = _color(palette[value]) if value < len(palette) else None
        if color is None or color not in colors:
            return None
        classes[value] = colors[color]
    return classes


def _of_colors(pixels: NDArray[np.uint8], colors: Mapping[Color, int]) -> NDArray[np.uint8]:
    """Look each color of (H, W, 3) up by binary search, which is faster than sorting all pixels.

    Rows are looked up in parts, since the search needs several times the memory of the image.
    """
    known = sorted(colors)
    codes = _packed(np.array(known))
    indices = np.array([colors[color] for color in known], np.uint8)
    classes = np.empty(pixels.shape[:2], np.uint8)
    wrong: set[Color] = set()
    rows = max(1, AT_ONCE // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        part = pixels[start : start + rows]
        wanted = _packed(part)
        place = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        classes[start : start + rows] = indices[place]
        wrong |= {_color(color) for color in np.unique(part[codes[place] != wanted], axis=0)}
    if wrong:
        shown = _listed(map(str, sorted(wrong)))
        raise WrongMaskError(f"has colors that stand for no class: {shown}")
    return classes


def _packed(colors: NDArray[np.integer]) -> NDArray[np.int32]:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    packed: NDArray[np.int32] = red << 16 | green << 8 | blue
    return packed


def _color(color: NDArray[np.integer]) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue


def _listed(values: Iterable[str]) -> str:
    every = list(values)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
