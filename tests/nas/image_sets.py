"""Random images and data sets of a few of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from nas.data.images import ArraySplit, Dataset, channel_statistics


def random_image(seed: int, *, width: int = 20, height: int = 16) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def smooth_image(seed: int, *, side: int = 40) -> Image.Image:
    """A picture that looks the same after it was saved again or resized, unlike noise."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def make_splits(folder: Path) -> None:
    """Cats and dogs, four of each in train, val and test."""
    seed = 0
    for split in ("train", "val", "test"):
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for image in range(4):
                smooth_image(seed + image).save(folder / split / label / f"{image}.png")
            seed += 10


def random_dataset(
    count: int = 48, *, classes: int = 3, size_px: int = 8, seed: int = 0
) -> Dataset:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, size_px, size_px), np.uint8)
    split = ArraySplit(images, rng.integers(0, classes, count))
    mean, std = channel_statistics(images)
    names = tuple(f"class{label}" for label in range(classes))
    return Dataset("random", names, split, split, split, size_px, mean, std)
