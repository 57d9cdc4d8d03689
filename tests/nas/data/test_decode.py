"""Decoding: modes, orientation, the square, broken files, progress."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nas.data.image_files.decode import (
    FilePictures,
    decode,
    decode_all,
    default_resolution,
    square_rgb,
)
from search_spaces.errors import InputError


def pictures(*paths: Path) -> FilePictures:
    return FilePictures(paths, np.zeros(len(paths), np.int64))


def save_sized(folder: Path, *sizes: tuple[int, int]) -> FilePictures:
    paths = []
    for number, size in enumerate(sizes):
        paths.append(folder / f"{number}.png")
        Image.new("RGB", size).save(paths[-1])
    return pictures(*paths)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (20, 200, 20, 0), (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("I;16", 0x8000, (128, 128, 128)),
    ],
)
def test_every_mode_becomes_rgb(
    tmp_path: Path, mode: str, colour: object, expected: tuple[int, int, int]
) -> None:
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.new(mode, (12, 9), colour).save(path)
    image = decode(pictures(path), 0, size_px=8)
    assert image.shape == (3, 8, 8)
    assert image.dtype == np.uint8
    assert image[:, 4, 4].tolist() == list(expected)


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 250, 0, 0])
    ImageDraw.Draw(image).rectangle((4, 0, 8, 8), fill=1)
    image.save(tmp_path / "palette.png", transparency=0)
    pixels = decode(pictures(tmp_path / "palette.png"), 0, size_px=8)
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]  # transparent: laid on white
    assert pixels[:, 0, 7].tolist() == [250, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (16, 16))
    ImageDraw.Draw(upright).rectangle((0, 0, 7, 3), fill=(255, 255, 255))  # one corner, not square
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    pixels = decode(pictures(tmp_path / "turned.png"), 0, size_px=16)
    assert np.array_equal(pixels, np.asarray(upright).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(30, 10), (10, 30)])
def test_the_centre_square_is_kept(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (255, 0, 0))
    left, top = (size[0] - 10) // 2, (size[1] - 10) // 2
    image.paste((0, 0, 255), (left, top, left + 10, top + 10))
    assert (np.asarray(square_rgb(image, 10)) == (0, 0, 255)).all()
    inside = np.asarray(square_rgb(image, 5))[1:-1, 1:-1]  # at its edges the filter looks past it
    assert (inside == (0, 0, 255)).all()


def test_resizing_agrees_with_resize_then_crop(tmp_path: Path) -> None:
    gradient = Image.linear_gradient("L").resize((160, 120)).convert("RGB")
    ours = np.asarray(square_rgb(gradient, 60), np.int64)
    scaled = gradient.resize((80, 60), Image.Resampling.BILINEAR).crop((10, 0, 70, 60))
    assert np.abs(ours - np.asarray(scaled, np.int64)).max() <= 1


def test_truncated_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"cut\.jpg") as error:
        decode_all(pictures(path), size_px=32)
    assert "\n" not in str(error.value)


def test_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("not an image at all")
    for read in (lambda p: decode_all(p, size_px=8), default_resolution):
        with pytest.raises(InputError, match=r"text\.jpg \(not an image\)"):
            read(pictures(path))


def test_broken_link_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    path.symlink_to(tmp_path / "nothing.png")
    with pytest.raises(InputError, match=r"gone\.png \(No such file"):
        decode_all(pictures(path), size_px=8)


def test_progress_is_quiet_at_first_and_reaches_the_total(tmp_path: Path) -> None:
    many = save_sized(tmp_path, *[(8, 8)] * 70)
    told: list[tuple[int, int]] = []
    tell = lambda done, total: told.append((done, total))  # noqa: E731
    decode_all(many, size_px=8, progress=tell, quiet_s=1e6)
    assert told == []
    decode_all(many, size_px=8, progress=tell, quiet_s=0)
    assert told == [(32, 70), (64, 70), (70, 70)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((28, 28), 28), ((32, 32), 32), ((100, 300), 96), ((500, 400), 224), ((47, 90), 32)],
)
def test_default_resolution(tmp_path: Path, size: tuple[int, int], expected: int) -> None:
    assert default_resolution(save_sized(tmp_path, size, size, size)) == expected


def test_default_resolution_is_of_the_median(tmp_path: Path) -> None:
    assert default_resolution(save_sized(tmp_path, (64, 64), (64, 64), (900, 900))) == 64
