"""Drawn scenes of coloured rectangles on noise, with their masks."""

from __future__ import annotations

import numpy as np

from nas.data.image_files.preparation import Preparation
from nas.data.images import ArraySplit, Dataset

CLASSES = ("background", "red", "green")
COLORS = ((220, 40, 40), (40, 200, 60))


def masked_scenes(count: int, *, px: int, seed: int) -> ArraySplit:
    """Draw images with none to three rectangles each, whose color is their class, and ignored corners."""
    rng = np.random.default_rng(seed)
    images = rng.integers(90, 166, (count, 3, px, px)).astype(np.uint8)
    masks = np.zeros((count, px, px), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        for _ in range(rng.integers(0, 4)):
            height, width = rng.integers(px // 4, px // 2, 2)
            top, left = rng.integers(0, px - height), rng.integers(0, px - width)
            class_ = int(rng.integers(len(COLORS)))
            place = slice(top, top + height), slice(left, left + width)
            image[:, *place] = np.array(COLORS[class_])[:, None, None]
            mask[place] = 1 + class_
        mask[:2, :2] = 255
    return ArraySplit(images, masks)


def masked_data(px: int = 32, *, train: int = 40, test: int = 19) -> Dataset:
    """Return a small data set of scenes."""
    return Dataset(
        name="scenes",
        classes=CLASSES,
        train=masked_scenes(train, px=px, seed=1),
        val=masked_scenes(test, px=px, seed=2),
        test=masked_scenes(test, px=px, seed=3),
        resolution_px=px,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        preparation=Preparation(fit="stretch"),
        task="segment",
    )
