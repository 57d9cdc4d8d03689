"""Orientation is read whatever else a file's metadata holds; pixels that decode are used."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nas.data.image_files.decode import FilePictures, decode
from nas.data.image_files.orientation import exif_orientation, orientation_of
from tests.nas.data.test_mutated_images import png_chunk


def corner() -> Image.Image:
    """White in its upper left corner, not symmetric in any way."""
    image = Image.new("RGB", (16, 16))
    ImageDraw.Draw(image).rectangle((0, 0, 7, 3), fill=(255, 255, 255))
    return image


def is_turned(path: Path) -> bool:
    """Whether the corner went where orientation 6 (turn right) puts it."""
    pixels = decode(FilePictures((path,), np.zeros(1, np.int64)), 0, size_px=16)
    right, left = pixels[0, :8, 12:].mean(), pixels[0, :4, :8].mean()
    assert max(right, left) > 200
    return bool(right > left)


def entry(tag: int, kind: int, count: int, value: bytes, order: str = ">") -> bytes:
    return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")


def block(*entries: bytes, order: str = ">", tail: bytes = b"") -> bytes:
    head = b"MM\0*\0\0\0\x08" if order == ">" else b"II*\0\x08\0\0\0"
    return b"Exif\0\0" + head + struct.pack(order + "H", len(entries)) + b"".join(entries) + tail


TURN = entry(274, 3, 1, b"\0\x06")
BROKEN = {
    "rational -1/0": block(
        TURN, entry(282, 10, 1, b"\0\0\0\x32"), tail=b"\xff\xff\xff\xff\0\0\0\0" * 4
    ),
    "two entries": block(TURN, entry(282, 5, 2, b"\0\0\0\x32"), tail=b"\0\0\0\x48\0\0\0\1" * 4),
    "text for a number": block(TURN, entry(282, 2, 4, b"abc\0"), entry(296, 2, 2, b"x\0")),
    "unknown type": block(TURN, entry(282, 99, 1, b"\0\0\0\x01")),
    "offset outside": block(TURN, entry(282, 5, 1, b"\xff\xff\xff\xf0")),
    "absurd count": block(TURN, entry(306, 2, 0xFFFFFFFF, b"\0\0\0\x10")),
    "exif pointer astray": block(TURN, entry(0x8769, 4, 1, b"\xff\xff\xff\xff")),
    "exif pointer of text": block(TURN, entry(0x8769, 2, 4, b"abc\0")),
    "cut off": block(TURN)[:-1] + b"\0\0",
    "more entries than there are": block(TURN)[:14] + b"\x7f\xff" + block(TURN)[16:],
}
ODD_VALUES = {
    "two shorts": entry(274, 3, 2, b"\0\x06\0\x01"),
    "a long": entry(274, 4, 1, b"\0\0\0\x06"),
    "a byte": entry(274, 1, 1, b"\x06"),
    "text": entry(274, 2, 2, b"6\0"),
    "the other byte order": entry(274, 3, 1, b"\x06\0"),
}


def jpeg(exif: bytes) -> bytes:
    stream = io.BytesIO()
    corner().save(stream, "JPEG", quality=95, subsampling=0, exif=exif)
    return stream.getvalue()


def png(exif: bytes) -> bytes:
    stream = io.BytesIO()
    corner().save(stream, "PNG")
    plain = stream.getvalue()
    chunk = png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    return plain[:-12] + chunk + plain[-12:]  # behind the pixels


def webp(exif: bytes) -> bytes:
    stream = io.BytesIO()
    corner().save(stream, "WEBP", lossless=True, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("make", [jpeg, png, webp])
@pytest.mark.parametrize("name", [*BROKEN, *ODD_VALUES])
def test_a_broken_tag_hides_neither_pixels_nor_orientation(tmp_path: Path, make, name: str) -> None:
    exif = BROKEN.get(name) or block(ODD_VALUES[name])
    path = tmp_path / f"photo.{make.__name__}"
    path.write_bytes(make(exif))
    assert is_turned(path)


@pytest.mark.parametrize(
    "exif",
    [
        b"", b"Exif\0\0", b"Exif\0\0XX*\0\0\0\0\x08", block(), block(TURN)[:12],
        block(entry(274, 3, 1, b"\0\x09")), block(entry(274, 3, 1, b"\0\0")),
        block(entry(274, 5, 1, b"\xff\xff\xff\xff")), block(entry(274, 12, 1, b"\0\0\0\x10")),
        block(entry(274, 7, 0, b"")),
    ],
)  # fmt: skip
def test_what_is_no_orientation_turns_nothing(exif: bytes) -> None:
    assert exif_orientation(exif) is None


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_byte_orders(orientation: int, order: str) -> None:
    value = struct.pack(order + "H", orientation)
    assert exif_orientation(block(entry(274, 3, 1, value, order), order=order)) == orientation


def test_orientation_from_xmp_and_from_a_png_text() -> None:
    assert orientation_of({"xmp": b'<rdf tiff:Orientation="6"/>'}) == 6
    assert orientation_of({"XML:com.adobe.xmp": "<tiff:Orientation>8</tiff:Orientation>"}) == 8
    text = "\nexif\n   26\n" + block(TURN).hex()
    assert orientation_of({"Raw profile type exif": text}) == 6
    assert orientation_of({"Raw profile type exif": "\nexif\n 2\nzz", "xmp": b"\xff"}) == 1


def tiff_bytes(*extra: bytes) -> bytes:
    """A TIFF of `corner` with further entries in its directory, whatever they hold."""
    pixels = np.asarray(corner()).tobytes()
    entries = [
        entry(256, 3, 1, b"\0\x10"), entry(257, 3, 1, b"\0\x10"),
        entry(258, 3, 3, struct.pack(">I", 8)), entry(259, 3, 1, b"\0\x01"),
        entry(262, 3, 1, b"\0\x02"), entry(273, 4, 1, struct.pack(">I", 16)),
        entry(277, 3, 1, b"\0\x03"), entry(278, 3, 1, b"\0\x10"),
        entry(279, 4, 1, struct.pack(">I", len(pixels))), *extra,
    ]  # fmt: skip
    entries.sort()
    start = 16 + len(pixels)
    header = b"MM\0*" + struct.pack(">I", start) + b"\0\x08\0\x08\0\x08\0\0"
    return header + pixels + struct.pack(">H", len(entries)) + b"".join(entries) + b"\0\0\0\0"


def odd_tiffs() -> Iterator[tuple[str, bytes]]:
    yield "plain", tiff_bytes(TURN)
    yield "two orientations", tiff_bytes(entry(274, 3, 2, b"\0\x06\0\x01"))
    yield "broken resolution", tiff_bytes(TURN, entry(282, 10, 1, b"\0\0\0\x10"))
    yield (
        "two resolutions",
        tiff_bytes(TURN, entry(282, 5, 2, b"\0\0\0\x10"), entry(283, 5, 2, b"\0\0\0\x10")),
    )
    yield "resolution as text", tiff_bytes(TURN, entry(282, 2, 4, b"abc"), entry(283, 2, 4, b"abc"))
    yield "date astray", tiff_bytes(TURN, entry(306, 2, 20, b"\xff\xff\xff\0"))


@pytest.mark.parametrize(("name", "content"), [*odd_tiffs()])
def test_tags_of_a_tiff_that_have_nothing_to_do_with_its_pixels(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / "photo.tif"
    path.write_bytes(content)
    assert is_turned(path)


def test_a_colour_profile_and_text_that_are_damaged(tmp_path: Path) -> None:
    stream = io.BytesIO()
    corner().save(stream, "PNG")
    plain = stream.getvalue()
    for number, chunk in enumerate(
        (
            png_chunk(b"iCCP", b"name\0\x05nonsense"),
            png_chunk(b"zTXt", b"x\0\x09abc"),
            png_chunk(b"pHYs", b"1"),
        )
    ):
        path = tmp_path / f"{number}.png"
        path.write_bytes(plain[:33] + chunk + plain[33:])
        assert not is_turned(path)
