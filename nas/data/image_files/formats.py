"""Accepted image formats: all that Pillow can decode, except documents, video and containers."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, features

from nas.data.image_files import libtiff

NOT_PICTURES = frozenset(
    # Documents need a program (Ghostscript); the others are video, or containers without a decoder.
    "EPS PDF MPEG HDF5 BUFR GRIB WMF IPTC FPX MIC XVTHUMB".split()  # noqa: SIM905 - reads as a list
)
_NEEDS = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}

IMAGE_LIKE = frozenset(
    ".heic .heif .hif .jxl .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .raw .svg .avif .webp .jp2".split()  # noqa: SIM905
)
"""Suffixes of images that may lack a decoder; the reason is then reported."""

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_TIFF_MAGIC = (b"II*\0", b"MM\0*")


@cache
def _prepare() -> None:
    """Load all of Pillow's plug-ins, and pillow-heif's if installed."""
    Image.init()
    libtiff.silence()
    # Pillow logs some damage as errors; without a handler Python would print them.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    if importlib.util.find_spec("pillow_heif") is not None:
        importlib.import_module("pillow_heif").register_heif_opener()


def openers() -> dict[str, tuple[Callable[..., Any], Callable[[bytes], bool | str] | None]]:
    """Return Pillow's opener of each accepted format: (factory, test of the first bytes)."""
    _prepare()
    return {
        name: Image.OPEN[name]
        for name in Image.ID
        if name in Image.OPEN and name not in NOT_PICTURES and _supported(name)
    }


def suffixes() -> dict[str, str]:
    """Return the format of each suffix that is accepted as an image.

    >>> suffixes()[".jpg"], suffixes()[".jfif"], ".pdf" in suffixes()
    ('JPEG', 'JPEG', False)
    """
    known = openers()
    # Pillow opens MPO, several JPEGs in a row, with its JPEG reader.
    formats = {
        suffix: "JPEG" if name == "MPO" else name
        for suffix, name in Image.registered_extensions().items()
    }
    return {suffix: name for suffix, name in formats.items() if name in known}


def is_image(path: str, known: dict[str, str]) -> bool:
    """Return whether a file is accepted: by its suffix or, if that does not tell, by its first bytes.

    Args:
        path: The file.
        known: See `suffixes`.
    """
    suffix = Path(path).suffix.lower()
    if suffix in known:
        return True
    if suffix and suffix not in IMAGE_LIKE:
        return False
    try:
        with Path(path).open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    if head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    return not suffix and (head.startswith(_TIFF_MAGIC) or head[4:12] == b"ftypavif")


def why_left_out(suffix: str) -> str:
    """Return why files of a suffix are left out; empty if that is obvious."""
    if suffix in (".heic", ".heif", ".hif"):
        return " (Pillow cannot open them here: pip install pillow-heif, or save them as JPEG)"
    if suffix in IMAGE_LIKE:
        return " (Pillow cannot open them here: save them as JPEG or PNG)"
    return ""


def _supported(name: str) -> bool:
    needed = _NEEDS.get(name)
    return needed is None or bool(features.check(needed))
