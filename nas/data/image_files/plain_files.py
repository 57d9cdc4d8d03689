"""Remove metadata from image files whose pixels are intact while their metadata is not.

Pillow reads EXIF, color profiles and text when it opens a file, and refuses the file if these are
damaged. What determines the pixels is copied here byte by byte; the rest is dropped.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"sBIT"))
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_JPEG_KEPT = frozenset((0xE0, 0xEE))  # JFIF, and Adobe's, which declares the color coding
_START_OF_SCAN = 0xDA
# TIFF tags that locate the pixels and declare their coding.
_TIFF_KEPT = frozenset(
    (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325)
) | {332, 338, 339, 340, 341, 347, 512, 519, 530, 532}
_AVIF_EXIF = re.compile(rb"(?:Exif\0\0|\0\0\0\0)(II\*\0|MM\0\*)")
_EMPTY_EXIF = {b"II": b"II*\0\x08\0\0\0\0\0", b"MM": b"MM\0*\0\0\0\x08\0\0"}


class Plain(NamedTuple):
    """A file without its metadata, and its EXIF block, which may be empty."""

    content: bytes
    exif: bytes = b""


def without_metadata(content: bytes) -> Plain | None:
    """Return a JPEG, PNG, WebP, AVIF or TIFF without its metadata; None if there is nothing to drop."""
    plain: Plain | None
    if content.startswith(b"\xff\xd8"):
        plain = _jpeg(content)
    elif content.startswith(PNG_MAGIC):
        plain = _png(content)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        plain = _webp(content)
    elif content[4:8] == b"ftyp":
        plain = _avif(content)
    elif content[:4] in (b"II*\0", b"MM\0*"):
        plain = _tiff(content)
    else:
        return None
    return plain if plain is not None and plain.content != content else None


def _jpeg(content: bytes) -> Plain:
    kept, exif, offset = [content[:2]], b"", 2
    while offset + 4 <= len(content) and content[offset] == 0xFF:
        marker = content[offset + 1]
        if marker == 0xFF:  # padding
            offset += 1
            continue
        if marker == _START_OF_SCAN:
            break
        length = int.from_bytes(content[offset + 2 : offset + 4], "big")
        size = 2 if marker in _JPEG_BARE else 2 + length
        segment = content[offset : offset + size]
        offset += size
        is_metadata = marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in _JPEG_KEPT)
        if not is_metadata:
            kept.append(segment)
        elif segment[4:9] == b"Exif\0":
            exif = exif or segment[4:]
    return Plain(b"".join((*kept, content[offset:])), exif)


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield a PNG's chunks: name, data, and all bytes of each."""
    offset = len(PNG_MAGIC)
    while offset + 8 <= len(content):
        size = int.from_bytes(content[offset : offset + 4], "big")
        whole = content[offset : offset + 12 + size]
        yield whole[4:8], whole[8 : 8 + size], whole
        offset += len(whole)


def _png(content: bytes) -> Plain:
    kept, exif = [PNG_MAGIC], b""
    for name, data, whole in png_chunks(content):
        if name in _PNG_KEPT:
            kept.append(whole)
        elif name == b"eXIf":
            exif = data
    return Plain(b"".join(kept), exif)


def _webp(content: bytes) -> Plain:
    kept, exif, offset = [], b"", 12
    while offset + 8 <= len(content):
        size = int.from_bytes(content[offset + 4 : offset + 8], "little")
        chunk = content[offset : offset + 8 + size + size % 2]
        offset += len(chunk)
        if chunk[:4] == b"EXIF":
            exif = chunk[8:]
        elif chunk[:4] == b"VP8X" and len(chunk) >= 9:
            flags = chunk[8] & ~0b101100  # color profile, EXIF, XMP
            kept.append(chunk[:8] + bytes((flags,)) + chunk[9:])
        elif chunk[:4] not in (b"XMP ", b"ICCP"):
            kept.append(chunk)
    body = b"WEBP" + b"".join(kept)
    return Plain(b"RIFF" + len(body).to_bytes(4, "little") + body, exif)


def _avif(content: bytes) -> Plain | None:
    """Blank an AVIF's EXIF in place: cutting it out would move the pixels."""
    found = _AVIF_EXIF.search(content)
    if found is None:
        return None
    start = found.start(1)
    empty = _EMPTY_EXIF[content[start : start + 2]]
    return Plain(content[:start] + empty + content[start + len(empty) :], content[start:])


def _tiff(content: bytes) -> Plain | None:
    """Append a directory with the tags that pixels need, and point the header to it."""
    order = "<" if content[:2] == b"II" else ">"
    entries = [
        entry for tag, entry in tiff_entries(content) if tag in _TIFF_KEPT and _sane(entry, order)
    ]
    if not entries:
        return None
    padding = b"\0" * (len(content) % 2)
    header = content[:4] + struct.pack(order + "I", len(content) + len(padding))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    return Plain(header + content[8:] + padding + directory)


def tiff_entries(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of a TIFF's first directory: tag and 12 bytes of each."""
    order = "<" if content[:2] == b"II" else ">"
    if len(content) < 8:
        return
    (start,) = struct.unpack_from(order + "I", content, 4)
    if start + 2 > len(content):
        return
    (count,) = struct.unpack_from(order + "H", content, start)
    for offset in range(start + 2, min(start + 2 + 12 * count, len(content) - 11), 12):
        yield struct.unpack_from(order + "H", content, offset)[0], content[offset : offset + 12]


def _sane(entry: bytes, order: str) -> bool:
    """Return whether to keep an entry: an orientation must be a single short with a valid value."""
    tag, kind, values, number = struct.unpack(order + "HHIH2x", entry)
    return bool(tag != 274 or (kind == 3 and values == 1 and 1 <= number <= 8))
