"""Drawn scenes of coloured rectangles on noise, with their boxes."""

from __future__ import annotations

import numpy as np

from nas.data.annotations.rows import padded
from nas.data.image_files.preparation import Preparation
from nas.data.images import ArraySplit, Dataset

COLORS = ((220, 40, 40), (40, 200, 60), (50, 70, 230))


def scenes(count: int, *, px: int, seed: int) -> ArraySplit:
    """Draw images with none to three rectangles each, whose color is their class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(90, 166, (count, 3, px, px)).astype(np.uint8)
    objects = []
    for image in images:
        rows = []
        for _ in range(rng.integers(0, 4)):
            width, height = rng.integers(px // 5, px // 2, 2)
            x, y = rng.integers(0, px - width), rng.integers(0, px - height)
            class_ = int(rng.integers(len(COLORS)))
            image[:, y : y + height, x : x + width] = np.array(COLORS[class_])[:, None, None]
            rows.append((class_, x / px, y / px, (x + width) / px, (y + height) / px, 0))
        objects.append(np.array(rows, np.float32).reshape(-1, 6))
    return ArraySplit(images, padded(objects, 3))


def drawn_data(px: int = 64, *, train: int = 48, test: int = 16) -> Dataset:
    """Return a small data set of scenes."""
    return Dataset(
        name="scenes",
        classes=("red", "green", "blue"),
        train=scenes(train, px=px, seed=1),
        val=scenes(test, px=px, seed=2),
        test=scenes(test, px=px, seed=3),
        resolution_px=px,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        preparation=Preparation(fit="stretch"),
        task="detect",
    )
