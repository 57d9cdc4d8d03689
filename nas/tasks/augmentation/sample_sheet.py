"""A picture of some images of each class, as they are and as a training sees them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nas.data.images import Dataset, labels_of
from nas.tasks.augmentation.augment import augment
from nas.tasks.settings import Augment
from search_spaces.errors import InputError

MOST_CLASSES = 20
GAP = 4
LABEL_PX = 150


def sample_sheet(
    data: Dataset, settings: Augment, *, images: int = 3, changes: int = 2, seed: int = 0
) -> Image.Image:
    """Draw a row per class: images, each followed by random augmentations of it.

    Args:
        data: Training images are drawn; of more than 20 classes, evenly spaced ones.
        settings: The augmentation.
        images: Number of images of each class.
        changes: Number of augmentations of each image.
        seed: Seed of the choice and of the augmentation.

    Raises:
        InputError: The training images have no labels to choose by.
    """
    labels = labels_of(data.train)
    if labels is None:
        raise InputError(f"{data.name} does not say which image is of which class")
    chosen = range(0, len(data.classes), -(-len(data.classes) // MOST_CLASSES))
    side, columns = data.resolution_px, images * (1 + changes)
    sheet = Image.new(
        "RGB", (LABEL_PX + columns * (side + GAP), len(chosen) * (side + GAP) + GAP), "white"
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    order = np.random.default_rng(seed)
    draws = torch.Generator().manual_seed(seed)
    still = Augment(flip=False, pad_fraction=0, crop_ratio=1)
    for row, label in enumerate(chosen):
        top = GAP + row * (side + GAP)
        pen.text((GAP, top + side // 2 - 8), data.classes[label][:18], fill="black", font=font)
        own = np.flatnonzero(labels == label)
        picked = order.permutation(own)[:images]
        if not len(picked):
            continue
        pixels = torch.from_numpy(_pixels(data, picked))
        whole = augment(pixels, still, generator=draws, size_px=side)
        rows = [whole] + [
            augment(pixels, settings, generator=draws, size_px=side) for _ in range(changes)
        ]
        for number in range(len(picked)):
            for version, batch in enumerate(rows):
                left = LABEL_PX + (number * (1 + changes) + version) * (side + GAP)
                shown = batch[number].permute(1, 2, 0).contiguous().numpy()
                sheet.paste(Image.fromarray(shown), (left, top))
    return sheet


def _pixels(data: Dataset, picked: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return some training images, (n, 3, S, S)."""
    stored = getattr(data.train, "images", None)
    if stored is not None:
        return np.array(stored[picked])
    wanted, found = set(picked.tolist()), {}
    number = 0
    for batch, _ in data.train.batches(64):
        for image in batch:
            if number in wanted:
                found[number] = image.numpy()
            number += 1
        if len(found) == len(wanted):
            break
    return np.stack([found[index] for index in picked.tolist()])
