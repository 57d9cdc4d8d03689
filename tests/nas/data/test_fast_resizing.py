"""Training images that are decoded every epoch: torch's resizing against Pillow's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.image_files.decode import FilePictures, decode
from nas.data.image_files.preparation import Preparation
from nas.data.load import load_dataset
from search_spaces.errors import InputError

BEYOND = 16
"""Levels of 255 at the square's edge, where Pillow's filter reaches beyond it."""


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Draw smooth noise without symmetry, so that every turn and flip looks different."""
    rng = np.random.default_rng(width * height)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def difference(path: Path, size_px: int, crop: float = 1.0) -> np.ndarray:
    pictures = FilePictures((path,), np.zeros(1, np.int64))
    exact, fast = (
        decode(pictures, 0, size_px=size_px, preparation=preparation).astype(int)
        for preparation in (Preparation(crop=crop), Preparation(crop=crop, exact=False))
    )
    assert fast.shape == (3, size_px, size_px)
    return np.abs(exact - fast)


@pytest.mark.parametrize("size_px", [20, 48, 90, 100])
@pytest.mark.parametrize(
    ("name", "mode"), [("a.jpg", "RGB"), ("b.jpg", "L"), ("c.jpg", "CMYK"), ("d.png", "RGBA")]
)
def test_equals_pillow_up_to_rounding(tmp_path: Path, name: str, mode: str, size_px: int) -> None:
    photo(151, 90, mode).save(tmp_path / name)
    apart = difference(tmp_path / name, size_px)
    assert apart[:, 2:-2, 2:-2].max() <= 1
    assert apart.max() <= BEYOND


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_like_pillow_turns(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    photo(150, 90).save(tmp_path / "photo.jpg", exif=exif)
    assert difference(tmp_path / "photo.jpg", 48)[:, 2:-2, 2:-2].max() <= 1


def test_crops_the_center(tmp_path: Path) -> None:
    photo(150, 90).save(tmp_path / "photo.jpg")
    assert difference(tmp_path / "photo.jpg", 48, crop=0.8)[:, 2:-2, 2:-2].max() <= 1


def test_a_damaged_file_gets_the_same_message(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    photo(150, 90).save(path)
    path.write_bytes(path.read_bytes()[:-600])
    pictures = FilePictures((path,), np.zeros(1, np.int64))
    with pytest.raises(InputError, match="truncated"):
        decode(pictures, 0, size_px=64, preparation=replace(Preparation(), exact=False))


def test_only_training_images_that_stream_are_decoded_so(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                photo(150 + number, 90).save(folder / f"{number}.jpg")
    held = load_dataset(str(tmp_path), resolution_px=48)
    streamed = load_dataset(str(tmp_path), resolution_px=48, memory_limit_mb=0, workers=0)
    apart = {}
    for split in ("train", "val", "test"):
        (images, _), (others, _) = (
            next(getattr(data, split).batches(64)) for data in (held, streamed)
        )
        apart[split] = (images.int() - others.int()).abs()
    assert apart["val"].max() == apart["test"].max() == 0
    assert 0 < apart["train"].max() <= BEYOND
    assert apart["train"][:, :, 2:-2, 2:-2].max() <= 1
