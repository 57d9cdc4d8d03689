"""A font that has the characters of class names, to write them on images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

_log = logging.getLogger(__name__)

NAME_PX = 12
"""Size of names beside images."""

FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # all of Noto's CJK fonts, where one file has them
    "Noto Sans CJK KR",
    "Noto Sans SC",
    "Noto Sans JP",
    "Noto Sans KR",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
    "Hiragino Sans GB",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
)
"""Fonts of Linux, macOS and Windows for names in Chinese, Japanese and Korean."""


class Lettering(NamedTuple):
    """How class names are written.

    Attributes:
        font: Path of a font that can be scaled.
        written: Each name as the font can draw it: itself, or the index of its class.
    """

    font: str
    written: Mapping[str, str]

    def beside_images(self) -> ImageFont.FreeTypeFont:
        """Open the font at the size of names beside images."""
        return ImageFont.truetype(self.font, NAME_PX)


@cache  # the warning is said once
def lettering(classes: tuple[str, ...]) -> Lettering:
    """Choose among the installed fonts the one that has most of the names' characters.

    >>> lettering(("cat", "größer", "собака")).written["größer"]
    'größer'

    Args:
        classes: Names of the classes.
    """
    wanted = {one for name in classes for one in name if one.isprintable() and not one.isspace()}
    font = _shipped()
    if _lacking(font, wanted):
        font = min((font, *_installed()), key=lambda path: len(_lacking(path, wanted)))
    lacking = _lacking(font, wanted)
    unwritten = [name for name in classes if lacking & set(name)]
    if unwritten:
        _log.warning(
            "no installed font has the characters of %r, so images show the indices of such classes: "
            "install a font such as Noto Sans CJK",
            unwritten[0],
        )
    written = {name: name for name in classes}
    return Lettering(font, written | {name: str(classes.index(name)) for name in unwritten})


def _lacking(font: str, characters: Set[str]) -> Set[str]:
    """Return the characters that a font cannot draw."""
    from matplotlib.ft2font import FT2Font  # takes a moment

    face = FT2Font(font)
    return {one for one in characters if not face.get_char_index(ord(one))}


def _shipped() -> str:
    """Return the path of the font that matplotlib ships; torchvision has none."""
    import matplotlib as mpl

    return str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


def _installed() -> list[str]:
    """Return the paths of the fonts in `FAMILIES` that are installed, the most common first."""
    # Its import lists the fonts, which takes seconds.
    from matplotlib.font_manager import findfont, fontManager

    known = set(fontManager.get_font_names())
    return [str(findfont(family)) for family in FAMILIES if family in known]
