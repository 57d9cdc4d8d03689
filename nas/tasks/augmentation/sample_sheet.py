"""A picture of some images of each class, as they are and as a training sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from nas.data.images import Dataset
from nas.data.share import WHOLE
from nas.tasks import task_of
from nas.tasks.augmentation.augment import augment
from nas.tasks.drawing.lettering import lettering
from nas.tasks.settings import Augment
from nas.tasks.task import Learning

MOST_ROWS = 20
GAP = 4
LABEL_PX = 150
SWATCH_PX = 12
LONGEST_NAME = 16
"""Characters that fit beside the images, which cover what does not."""

STILL = Augment(flip=False, pad_fraction=0, crop_ratio=1)


def sample_sheet(
    data: Dataset,
    how: Learning,
    members: Mapping[str, Sequence[int]],
    *,
    images: int = 3,
    changes: int = 2,
    seed: int = 0,
) -> Image.Image:
    """Draw a row per class: images, each followed by random augmentations of it, with what is annotated.

    Args:
        data: Training images are drawn.
        how: Settings of the training that augments them.
        members: Indices of the training images of each row, by its name; of more than 20 rows, evenly
            spaced ones are drawn.
        images: Number of images of each class.
        changes: Number of augmentations of each image.
        seed: Seed of the choice and of the augmentation.
    """
    names = list(members)[:: -(-len(members) // MOST_ROWS)]
    side, columns = data.resolution_px, images * (1 + changes)
    size = LABEL_PX + columns * (side + GAP), len(names) * (side + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    letters = lettering(data.classes)
    pen, font = ImageDraw.Draw(sheet), letters.beside_images()
    order = np.random.default_rng(seed)
    draws = torch.Generator().manual_seed(seed)
    for row, name in enumerate(names):
        top = GAP + row * (side + GAP)
        middle = top + side // 2 - 8
        text = letters.written.get(name, name)[:LONGEST_NAME]
        pen.text((GAP + SWATCH_PX + GAP, middle), text, fill="black", font=font)
        picked = order.permutation(np.array(members[name], np.int64))[:images]
        if len(picked):
            versions, colors = _versions(data, how, picked, changes=changes, draws=draws)
            for number, shown in enumerate(version for one in versions for version in one):
                left = LABEL_PX + number * (side + GAP)
                pixels = shown.permute(1, 2, 0).contiguous().numpy()
                sheet.paste(Image.fromarray(pixels), (left, top))
            if name in colors:
                corner = GAP, middle + 2
                pen.rectangle((*corner, *(at + SWATCH_PX for at in corner)), fill=colors[name])
    return sheet


def _versions(
    data: Dataset,
    how: Learning,
    picked: NDArray[np.int64],
    *,
    changes: int,
    draws: torch.Generator,
) -> tuple[list[tuple[Tensor, ...]], dict[str, tuple[int, int, int]]]:
    """Return each image as it is and augmented, drawn upon, and the colors of classes without names."""
    task, side = task_of(data.task), data.resolution_px
    pixels, targets = _stored(data, picked)
    batches = [(augment(pixels, STILL, generator=draws, size_px=side), targets)]
    batches += [
        task.augmented(pixels, targets, how, generator=draws, size_px=side, share=WHOLE)
        for _ in range(changes)
    ]
    colors: dict[str, tuple[int, int, int]] = {}
    columns = []
    for images, own in batches:
        truths = task.truth(own)
        for truth in truths:
            colors |= truth.colors(data.classes, size=(side, side))
        pairs = zip(truths, images, strict=True)
        columns.append([truth.drawn(image, data.classes) for truth, image in pairs])
    return list(zip(*columns, strict=True)), colors


def _stored(data: Dataset, picked: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return some training images (n, 3, S, S) with their targets, in the order asked for."""
    wanted, found = set(picked.tolist()), {}
    number = 0
    for images, targets in data.train.batches(64):
        for image, target in zip(images, targets, strict=True):
            if number in wanted:
                found[number] = image, target
            number += 1
        if len(found) == len(wanted):
            break
    chosen = [found[index] for index in picked.tolist()]
    return torch.stack([image for image, _ in chosen]), torch.stack(
        [target for _, target in chosen]
    )
