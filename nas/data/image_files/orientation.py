"""Read EXIF's orientation without depending on any other metadata.

Only tag 274 is read. Cameras, phones and editors leave all kinds of damage in other tags, and Pillow's own
reader raises on some of it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image

ORIENTATION = 274
UPRIGHT = 1

TURNS: Mapping[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

SWAPPED = frozenset((5, 6, 7, 8))
"""Orientations that exchange width and height."""

_ORDERS = {b"II": "<", b"MM": ">"}
# TIFF types whose first value may be an orientation; the others are a rational and two floats.
_TYPES = {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_RATIONALS = {5: "II", 10: "ii"}
_ENTRY_BYTES = 12
_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*(?:[\"']|<)")


def loaded(image: Image.Image) -> Image.Transpose | None:
    """Load an image's pixels and return how to turn it upright; None if it already is."""
    stored = _tiff_value(image)
    image.load()  # PNG may store EXIF after the pixels
    if image.format == "TIFF":
        # Pillow turns a TIFF while loading it and then drops the tag, but only if it is a plain number.
        turned = isinstance(stored, int) and _tiff_value(image) is None
        return None if turned else TURNS.get(_whole(stored) or UPRIGHT)
    return TURNS.get(orientation_of(image.info))


def orientation_of(info: Mapping[Any, Any]) -> int:
    """Return the orientation, 1 to 8, from Pillow's `info`; 1 if none can be read."""
    for exif in (info.get("exif"), _raw_profile(info.get("Raw profile type exif"))):
        if isinstance(exif, bytes) and (number := exif_orientation(exif)) is not None:
            return number
    for key in ("xmp", "XML:com.adobe.xmp"):
        xmp = info.get(key)
        packet = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp
        if isinstance(packet, bytes) and (found := _XMP.search(packet)):
            return int(found[1])
    return UPRIGHT


def exif_orientation(exif: bytes) -> int | None:
    r"""Return tag 274 of an EXIF block, 1 to 8; None if it is missing or invalid.

    >>> block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    >>> exif_orientation(block)
    6
    """
    while exif.startswith(b"Exif\0"):
        exif = exif[6:]
    declared = _ORDERS.get(exif[:2])
    if declared is None:
        return None
    for order in (declared, "<" if declared == ">" else ">"):  # some writers declare the wrong one
        for value in _values(exif, order):
            number = _whole(value)
            if number is not None:
                return number
    return None


def _values(exif: bytes, order: str) -> Iterator[object]:
    """Yield the values of tag 274 in the first directory."""
    start = _unpack(order + "I", exif, 4)
    count = _unpack(order + "H", exif, start) if isinstance(start, int) else None
    if not isinstance(start, int) or not isinstance(count, int):
        return
    for entry in range(start + 2, start + 2 + _ENTRY_BYTES * count, _ENTRY_BYTES):
        if entry + _ENTRY_BYTES > len(exif):
            return
        tag, kind, values = struct.unpack_from(order + "HHI", exif, entry)
        if tag == ORIENTATION:
            yield _first(exif, order, kind, values, entry + 8)


def _first(exif: bytes, order: str, kind: int, values: int, offset: int) -> object:
    """Return the first value of an entry, whatever its type."""
    layout = _TYPES.get(kind) or _RATIONALS.get(kind)
    if layout is None:
        return None
    if struct.calcsize(order + layout) * max(values, 1) > 4:
        pointer = _unpack(order + "I", exif, offset)
        offset = pointer if isinstance(pointer, int) else len(exif)
    if kind in _RATIONALS:
        top = _unpack(order + layout[0], exif, offset)
        below = _unpack(order + layout[0], exif, offset + 4)
        whole = isinstance(top, int) and isinstance(below, int) and below != 0
        return top / below if whole else None  # type: ignore[operator]
    return _unpack(order + layout, exif, offset)


def _unpack(layout: str, block: bytes, offset: int) -> object:
    if offset < 0 or offset + struct.calcsize(layout) > len(block):
        return None
    return struct.unpack_from(layout, block, offset)[0]


def _whole(value: object) -> int | None:
    """Return a value as an orientation, if it is one."""
    if isinstance(value, tuple | list):
        return _whole(value[0]) if value else None
    if isinstance(value, bytes | str):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        return int(text[0]) if text[:1] in set("12345678") else None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ArithmeticError):
        return None
    if number in range(1, 9):
        return int(number)
    swapped = number / 256  # a short in the other byte order
    return int(swapped) if swapped in range(1, 9) else None


def _raw_profile(text: object) -> bytes | None:
    """Return EXIF that ImageMagick writes into a PNG's text: three lines of header, then hex digits."""
    if not isinstance(text, str | bytes):
        return None
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    digits = "".join(plain.split("\n")[3:])
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def _tiff_value(image: Image.Image) -> object:
    """Return the tag from Pillow's TIFF reader; None for other formats, or if it cannot be read."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None or ORIENTATION not in tags:
        return None
    try:
        return tags[ORIENTATION]
    except Exception:  # noqa: BLE001  Pillow may raise anything for a damaged value
        return None
