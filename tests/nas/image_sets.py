"""Random images and data sets of a few of them."""

import numpy as np
from PIL import Image

from nas.data.images import ArraySplit, Dataset, channel_statistics


def random_image(seed: int, *, width: int = 20, height: int = 16) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def random_dataset(
    count: int = 48, *, classes: int = 3, size_px: int = 8, seed: int = 0
) -> Dataset:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, size_px, size_px), np.uint8)
    split = ArraySplit(images, rng.integers(0, classes, count))
    mean, std = channel_statistics(images)
    names = tuple(f"class{label}" for label in range(classes))
    return Dataset("random", names, split, split, split, size_px, mean, std)
