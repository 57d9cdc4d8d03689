"""Damaged image files: each is decoded, or refused by its name; nothing else comes out.

Every mutation follows from its number. Some hundred are tried here; more by hand:

    python tests/nas/data/test_mutated_images.py 10000
"""

import io
import os
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from nas.data.image_files.decode import FilePictures, decode
from nas.data.image_files.unreadable import UnreadableError

COUNT = 300
SIZE = (48, 36)


def photo(seed: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def exif_block(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    exif[271] = "Maker"
    exif[282] = 72.0
    exif[283] = 72.0
    exif[296] = 2
    exif[306] = "2024:01:01 00:00:00"
    exif.get_ifd(0x8769)[36867] = "2024:01:01 00:00:00"
    return exif.tobytes()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def interlaced_png() -> bytes:
    """An Adam7 PNG; Pillow writes none."""
    pixels = np.asarray(photo())
    rows = b""
    for x0, y0, dx, dy in (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
    ):  # fmt: skip
        for row in pixels[y0::dy, x0::dx]:
            rows += b"\0" + row.tobytes()
    header = struct.pack(">IIBBBBB", *SIZE, 8, 2, 0, 0, 1)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


@cache
def originals() -> dict[str, bytes]:
    image, exif = photo(), exif_block()
    grey = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    palette = image.quantize(16)
    frames = [photo(seed) for seed in range(4)]
    several = {"save_all": True, "append_images": frames}
    files = {
        "baseline.jpg": saved(image, "JPEG", exif=exif),
        "rotated.jpg": saved(image, "JPEG", exif=exif, quality=90),
        "progressive.jpg": saved(image, "JPEG", exif=exif, progressive=True),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
        "plain.png": saved(image, "PNG", exif=exif),
        "alpha.png": saved(image.convert("RGBA"), "PNG"),
        "sixteen.png": saved(grey, "PNG"),
        "palette.png": saved(palette, "PNG", transparency=3),
        "interlaced.png": interlaced_png(),
        "animated.png": saved(image, "PNG", **several),
        "lossy.webp": saved(image, "WEBP", exif=exif),
        "lossless.webp": saved(image.convert("RGBA"), "WEBP", lossless=True),
        "animated.webp": saved(image, "WEBP", **several),
        "plain.gif": saved(image, "GIF"),
        "animated.gif": saved(image, "GIF", **several),
        "plain.tif": saved(image, "TIFF", exif=exif),
        "lzw.tif": saved(image, "TIFF", compression="tiff_lzw", tiffinfo={274: 6}),
        "deflate.tif": saved(grey, "TIFF", compression="tiff_deflate"),
        "float.tif": saved(
            Image.fromarray(np.asarray(image.convert("L")) / np.float32(255)), "TIFF"
        ),
        "jpeg.tif": saved(image, "TIFF", compression="jpeg"),
        "plain.bmp": saved(image, "BMP"),
        "palette.bmp": saved(palette, "BMP"),
        "plain.ppm": saved(image, "PPM"),
        "plain.pgm": saved(image.convert("L"), "PPM"),
        "plain.tga": saved(image, "TGA", compression="tga_rle"),
        "plain.ico": saved(image, "ICO", sizes=[(32, 32)]),
    }
    if features.check("avif"):
        files["plain.avif"] = saved(image, "AVIF", exif=exif, speed=10)
    if features.check("jpg_2000"):
        files["plain.jp2"] = saved(image, "JPEG2000")
    return files


def cut(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def flip_bits(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 2, 8, 64])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def edit_header(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 2, 4])):
        place = rng.randrange(min(len(data), 64))
        data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    return data


def huge_numbers(data: bytearray, rng: random.Random) -> bytearray:
    """Write a large number over four bytes of the header: dimensions, lengths, offsets, counts."""
    place = rng.randrange(min(len(data), 300))
    number = rng.choice([0xFFFFFFFF, 0x7FFFFFFF, 0x0000FFFF, 0x00FFFFFF, 100_000, 30_000])
    data[place : place + 4] = struct.pack(rng.choice("<>") + "I", number)
    return data


def edit_exif(data: bytearray, rng: random.Random) -> bytearray:
    """Damage the EXIF block alone: tags, types, counts, offsets, rationals."""
    starts = [data.find(mark) for mark in (b"Exif\0\0", b"eXIf", b"EXIF", b"II*\0", b"MM\0*")]
    start = min((s for s in starts if s >= 0), default=0)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = min(start + rng.randrange(160), len(data) - 4)
        if rng.random() < 0.5:
            data[place] = rng.randrange(256)
        else:
            number = rng.choice([0, 1, 2, 0xFFFF, 0xFFFFFFFF, rng.getrandbits(32)])
            data[place : place + 4] = struct.pack(rng.choice("<>") + "I", number)
    return data


def repeat_part(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice([4, 16, 256])]
    return data[:start] + part * rng.choice([2, 10, 100]) + data[start:]


def drop_part(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice([1, 4, 100]) :]


MUTATIONS: list[Callable[[bytearray, random.Random], bytearray]] = [
    cut, flip_bits, edit_header, huge_numbers, edit_exif, edit_exif, repeat_part, drop_part,
]  # fmt: skip


def mutant(number: int) -> tuple[str, bytes]:
    """A file's name and its damaged content."""
    rng = random.Random(number)
    names = sorted(originals())
    name = names[number % len(names)]
    data = bytearray(originals()[name])
    for _ in range(rng.choice([1, 1, 1, 2])):
        if data:
            data = rng.choice(MUTATIONS)(data, rng)
    return f"{number}-{name}", bytes(data)


def outcome(folder: Path, number: int) -> str:
    """`decoded` or `refused`; anything else is raised."""
    name, data = mutant(number)
    path = folder / name
    path.write_bytes(data)
    problem = None
    try:
        pixels = decode(FilePictures((path,), np.zeros(1, np.int64)), 0, size_px=16)
    except UnreadableError as error:
        problem = str(error)
    path.unlink()
    if problem is not None:
        assert name in problem
        assert "\n" not in problem
        return "refused"
    assert pixels.shape == (3, 16, 16)
    assert pixels.dtype == np.uint8
    return "decoded"


@pytest.mark.parametrize("name", sorted(originals()))
def test_the_undamaged_files_are_decoded(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(originals()[name])
    assert decode(FilePictures((path,), np.zeros(1, np.int64)), 0, size_px=16).std() > 10


def test_damaged_files_are_decoded_or_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none may reach the user
        outcomes = Counter(outcome(tmp_path, number) for number in range(COUNT))
    assert outcomes["decoded"] > COUNT / 10
    assert outcomes["refused"] > COUNT / 10
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")  # C libraries print, too


def main(count: int) -> None:
    """Try mutations, and say what came of them and which took longest."""
    outcomes: Counter[str] = Counter()
    slowest: list[tuple[float, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            began_s = time.monotonic()
            outcomes[outcome(Path(folder), number)] += 1
            slowest.append((time.monotonic() - began_s, mutant(number)[0]))
    slowest.sort(reverse=True)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        dict(outcomes),
        f"at most {peak_mb} MB",
        [f"{name} {seconds:.2f} s" for seconds, name in slowest[:5]],
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(int(sys.argv[1]))
