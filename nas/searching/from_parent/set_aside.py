"""Set training images aside to rank trials on, where few are held out.

On 300 images an accuracy has a standard error of nearly 3 points, more than most networks of a space differ
by. Networks cannot be ranked on the images that their parent was trained on: it has learned those by heart,
and so have its sub-networks. So trials inherit from a second parent, trained without a fold of the training
images, and are ranked on that fold and the held-out images together. Finalists inherit from the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nas.data.splits.splitting import stratified_split
from nas.tasks import task_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.data.images import Dataset

LARGEST_FOLD = 1 / 3
"""Most of the training images that are set aside."""


def set_aside(
    images: Mapping[int, Dataset],
    ranking_images: int,
    *,
    batch_size: int,
    seed: int,
    before: Collection[str] | None = None,
) -> dict[int, Dataset] | None:
    """Return the images of trials, with a fold of the training images added to the held-out ones.

    Args:
        images: The images at each resolution, all in the same order.
        ranking_images: Images to rank trials on.
        batch_size: Training images that must stay.
        seed: Of the choice, class by class.
        before: Names of the images that the run set aside before its data changed: no other one may be,
            since the parent of trials was trained on it.

    Returns:
        The images at each resolution; None if enough are held out, too few would stay, or the images are
        not in memory.
    """
    some = next(iter(images.values()))
    names = train_names(some)
    if before is None or names is None:
        parts = _parts(some, ranking_images, batch_size=batch_size, seed=seed)
    else:
        chosen = np.array([name in before for name in names], bool)
        parts = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    if parts is None:
        return None
    stay, aside = parts
    return {px: _moved(data, stay, aside) for px, data in images.items()}


def names_aside(
    data: Dataset, ranking_images: int, *, batch_size: int, seed: int
) -> list[str] | None:
    """Return the names of the images that `set_aside` draws; None without a fold, or without names."""
    parts = _parts(data, ranking_images, batch_size=batch_size, seed=seed)
    names = train_names(data)
    return None if parts is None or names is None else [names[index] for index in parts[1].tolist()]


def train_names(data: Dataset) -> list[str] | None:
    """Return the names of the training images in their order; None if they are not files."""
    if data.contents is None:
        return None
    names = list(data.contents.splits["train"])
    return names if len(names) == len(data.train) else None


def fold_size(data: Dataset, ranking_images: int, *, batch_size: int, seed: int) -> int:
    """Return how many training images `set_aside` takes.

    Args:
        data: The images at one resolution.
        ranking_images: Images to rank trials on.
        batch_size: Training images that must stay.
        seed: Of the choice.
    """
    parts = _parts(data, ranking_images, batch_size=batch_size, seed=seed)
    return 0 if parts is None else len(parts[1])


def _parts(
    data: Dataset, ranking_images: int, *, batch_size: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the training images that stay, and those set aside; None if there is no fold."""
    from nas.data.images import ArraySplit  # imports torch

    train = data.train
    if not (isinstance(train, ArraySplit) and isinstance(data.val, ArraySplit)):
        return None  # images too many to hold in memory
    wanted = min(ranking_images - len(data.val), int(len(train) * LARGEST_FOLD))
    if wanted <= 0:
        return None
    strata = task_of(data.task).strata(train.targets)
    stay, aside = stratified_split(strata, wanted / len(strata), seed=seed)
    fits = (
        0 < len(aside) <= LARGEST_FOLD * len(train)
    )  # of a small class more than its share is taken
    return (stay, aside) if fits and len(stay) >= batch_size else None


def _moved(data: Dataset, stay: NDArray[np.int64], aside: NDArray[np.int64]) -> Dataset:
    """Return a data set with some training images held out, at the size of those held out."""
    from nas.data.images import ArraySplit  # imports torch

    train, val = data.train, data.val
    assert isinstance(train, ArraySplit)
    assert isinstance(val, ArraySplit)
    added = train.take(aside)
    held_out = ArraySplit(
        np.concatenate([val.images, _resized(added.images, data.resolution_px)]),
        task_of(data.task).concatenated(val.targets, added.targets),
    )
    return replace(data, train=train.take(stay), val=held_out)


def _resized(images: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """Return images (N, 3, px, px): those of train may be stored larger, for a training that crops."""
    if images.shape[-1] == px:
        return images
    import torch
    from torch.nn import functional

    floats = functional.interpolate(
        torch.from_numpy(images).float(),
        size=(px, px),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    resized: NDArray[np.uint8] = floats.round().clamp(0, 255).byte().numpy()
    return resized
