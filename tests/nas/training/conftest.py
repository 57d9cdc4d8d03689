"""Small image folders and data sets that the tests share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.images import ArraySplit, Dataset, channel_statistics
from nas.data.load import load_dataset


def random_image(seed: int, *, width: int = 20, height: int = 16) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[dict[str, int]], Path]:
    """Write `count` random PNGs into each folder named; the same names give the same images."""

    def make(counts: dict[str, int]) -> Path:
        root = tmp_path / "data"
        seed = 0
        for name, count in counts.items():
            folder = root / name
            folder.mkdir(parents=True)
            for number in range(count):
                seed += 1
                random_image(seed).save(folder / f"{number:03}.png")
        return root

    return make


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    return load_dataset("fashion-mnist-subset")


def random_dataset(
    count: int = 48, *, classes: int = 3, size_px: int = 8, seed: int = 0
) -> Dataset:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, size_px, size_px), np.uint8)
    split = ArraySplit(images, rng.integers(0, classes, count))
    mean, std = channel_statistics(images)
    names = tuple(f"class{label}" for label in range(classes))
    return Dataset("random", names, split, split, split, size_px, mean, std)


@pytest.fixture
def small_dataset() -> Dataset:
    return random_dataset()
