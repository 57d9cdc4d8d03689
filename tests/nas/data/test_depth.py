"""Grey images of more than eight bits: what white is."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.image_files.decode import FilePictures, decode
from nas.data.load import load_dataset
from search_spaces.errors import InputError
from tests.nas.data.test_mutated_images import png_chunk

RAMP = (
    np.linspace(0, 1, 16, dtype=np.float64).repeat(16).reshape(16, 16)
)  # rows from black to white
EXPECTED = np.round(RAMP * 255)


def decoded(path: Path, **options: object) -> np.ndarray:
    return decode(FilePictures((path,), np.zeros(1, np.int64)), 0, size_px=16, **options)


def png16(values: np.ndarray, *, significant_bits: int | None = None) -> bytes:
    """A 16-bit grey PNG, with an sBIT chunk where that is given; Pillow writes none."""
    height, width = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))]
    if significant_bits is not None:
        parts.append(png_chunk(b"sBIT", bytes((significant_bits,))))
    parts += [png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("float 0..1.tif", RAMP.astype(np.float32)),
        ("float 0..255.tif", (RAMP * 255).astype(np.float32)),
        ("float 0..65535.tif", (RAMP * 65535).astype(np.float32)),
        ("float overshoot.tif", (RAMP * 1.004 - 0.002).astype(np.float32)),
        ("int32 0..255.tif", np.round(RAMP * 255).astype(np.int32)),
        ("int32 0..65535.tif", np.round(RAMP * 65535).astype(np.int32)),
        ("int16 0..4095.tif", np.round(RAMP * 4095).astype(np.int16)),
        ("uint16 0..65535.tif", np.round(RAMP * 65535).astype(np.uint16)),
        ("uint16 0..4095.png", np.round(RAMP * 4095).astype(np.uint16)),
        ("uint16 0..255.png", np.round(RAMP * 255).astype(np.uint16)),
        ("uint16 0..65535.png", np.round(RAMP * 65535).astype(np.uint16)),
        ("mask.tif", (RAMP > 0.5).astype(np.int32)),
    ],
)
def test_white_is_white_and_black_is_black(tmp_path: Path, name: str, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / name)
    grey = decoded(tmp_path / name)[0].astype(int)
    expected = (RAMP > 0.5) * 255 if name == "mask.tif" else EXPECTED
    assert np.abs(grey - expected).max() <= 1


def test_a_pgm_of_twelve_bits(tmp_path: Path) -> None:
    values = np.round(RAMP * 4095).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 16 16 4095\n" + values.tobytes())
    assert np.abs(decoded(tmp_path / "a.pgm")[0].astype(int) - EXPECTED).max() <= 1


@pytest.mark.parametrize(
    ("bits", "values", "expected"),
    [
        (12, RAMP * 4095, 255),  # right-aligned
        (12, RAMP * 1000, 62),  # right-aligned and dark
        (12, np.round(RAMP * 4095) * 16, 254),  # as PNG asks for
        (12, np.round(RAMP * 100) * 16, 6),  # so, and dark
        (16, RAMP * 4000, 15),  # 16 bits that are all meant
        (None, RAMP * 4000, 249),
    ],
)
def test_significant_bits_of_a_png(
    tmp_path: Path, bits: int | None, values: np.ndarray, expected: int
) -> None:
    (tmp_path / "a.png").write_bytes(png16(np.round(values), significant_bits=bits))
    assert abs(int(decoded(tmp_path / "a.png").max()) - expected) <= 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (RAMP.astype(np.float32) * 5, "values up to 5, which is neither 0 to 1 nor 0 to 255"),
        (RAMP.astype(np.float32) * 2 - 1, "negative values down to -1"),
        (np.full((16, 16), np.nan, np.float32), "values that are not finite"),
        (np.full((16, 16), np.inf, np.float32), "values that are not finite"),
        ((RAMP * 1e6).astype(np.int32), r"values up to 1e\+06"),
        ((RAMP * 2000 - 1000).astype(np.int16), "negative values down to -1000"),
    ],
)
def test_values_that_leave_white_or_black_open_are_refused_by_name(
    tmp_path: Path, values: np.ndarray, reason: str
) -> None:
    Image.fromarray(values).save(tmp_path / "scan.tif")
    with pytest.raises(InputError, match=rf"scan\.tif \({reason}"):
        decoded(tmp_path / "scan.tif")


def save_set(root: Path, scale: float, *, dark: float) -> None:
    """Two classes of ramps up to `scale`, and in each one image that is dark."""
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for number in range(10):
            top = scale * (dark if number == 0 else 1 - number / 40)
            values = np.round(RAMP * top).astype(np.uint16)
            Image.fromarray(values).save(root / label / f"{number}.png")


@pytest.mark.parametrize(("scale", "white"), [(65535, 65535), (4095, 4095), (255, 255)])
def test_a_dark_image_of_a_data_set_stays_dark(tmp_path: Path, scale: int, white: int) -> None:
    save_set(tmp_path / "data", scale, dark=0.003)
    data = load_dataset(str(tmp_path / "data"), resolution_px=16)
    highest = np.concatenate(
        [part.images.max(axis=(1, 2, 3)) for part in (data.train, data.val, data.test)]
    )
    assert sorted(highest)[1] <= 1
    assert max(highest) >= 245


def test_streaming_scales_as_memory_does(tmp_path: Path) -> None:
    save_set(tmp_path / "data", 4095, dark=0.01)
    held = load_dataset(str(tmp_path / "data"), resolution_px=16)
    streamed = load_dataset(str(tmp_path / "data"), resolution_px=16, memory_limit_mb=0, workers=0)
    (images, _), (others, _) = next(held.test.batches(64)), next(streamed.test.batches(64))
    assert images.equal(others)
