"""Data sets as training sees them: splits that yield batches of uint8 images."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.folders.contents import Contents
from nas.data.image_files.preparation import PLAIN, Preparation
from nas.data.share import WHOLE, Share
from nas.data.splits.rule import BY_DEFAULT, SplitRule
from search_spaces.errors import InputError

Batch = tuple[Tensor, Tensor]
"""Images uint8 (N, 3, H, W), and their targets (N, ...): int64 (N,) where these are classes."""


class Split(Protocol):
    """A fixed set of images with their targets, which can be read in batches repeatedly."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def batches(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
        skip: int = 0,
        share: Share = WHOLE,
    ) -> Iterator[Batch]:
        """Iterate over the split once.

        Args:
            batch_size: Images per batch; the last one may be smaller.
            generator: CPU generator that shuffles; None keeps the stored order.
            drop_last: Drop an incomplete last batch.
            skip: Number of batches to leave out at the beginning.
            share: Which part of every batch to yield.

        Yields:
            A `Batch` on the CPU, which the caller may modify.
        """
        ...


@dataclass(frozen=True)
class ArraySplit:
    """Images in memory. The arrays may be read-only views, for instance of Ray's object store.

    Attributes:
        images: uint8 (N, 3, H, W).
        targets: What a network learns of each, (N, ...): its class index, int64 (N,), for example.
    """

    images: NDArray[np.uint8]
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Class index of every image, (N,); None if the targets are not classes."""
        return self.targets if self.targets.ndim == 1 else None

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the images at `indices`, in that order."""
        return replace(self, images=self.images[indices], targets=self.targets[indices])

    def batches(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
        skip: int = 0,
        share: Share = WHOLE,
    ) -> Iterator[Batch]:
        """Iterate over the split once; see `Split.batches`."""
        order = batch_indices(len(self), batch_size, generator=generator, drop_last=drop_last)
        for whole in order[skip:]:
            chosen = whole[share.part(len(whole))]
            # Indexing copies, so torch never holds a view of read-only memory.
            yield torch.from_numpy(self.images[chosen]), torch.from_numpy(self.targets[chosen])


def labels_of(split: Split) -> NDArray[np.int64] | None:
    """Return the class index of every image, (N,); None if the split does not hold its labels."""
    labels: NDArray[np.int64] | None = getattr(split, "labels", None)
    return labels


@dataclass(frozen=True)
class Dataset:
    """Images in three splits, and what is to be learned of them.

    Attributes:
        name: Name in reports.
        classes: Class names; targets have indices into them.
        train: Images to fit weights on.
        val: Held-out images; the accuracy on them guides the search.
        test: Images that are used once, at the very end.
        resolution_px: Height and width of the images. Those of train may be stored larger, for a training
            that crops them.
        mean: Per channel over train, of pixels in 0..1.
        std: Per channel over train, of pixels in 0..1.
        preparation: How the images of val and test were prepared.
        contents: The files of each split, if known.
        left_out: Names of images that were left out because they cannot be read.
        changes: Differences from the images that a resumed run began with, accepted by the user.
        rule: How images were held out, if the data set lacks a val or test split.
        task: Name of what is learned; see `nas.tasks.task_of`.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    resolution_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    preparation: Preparation = PLAIN
    contents: Contents | None = None
    left_out: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    rule: SplitRule = BY_DEFAULT
    task: str = "classify"


def batch_indices(
    count: int, batch_size: int, *, generator: torch.Generator | None, drop_last: bool
) -> list[NDArray[np.int64]]:
    """Cut 0..count-1 into batches: in order without a generator, shuffled with one.

    >>> batch_indices(5, 2, generator=None, drop_last=False)
    [array([0, 1]), array([2, 3]), array([4])]
    """
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    stop = count - count % batch_size if drop_last else count
    indices: NDArray[np.int64] = order.numpy()
    return [indices[start : start + batch_size] for start in range(0, stop, batch_size)]


def require_batch(dataset: Dataset, batch_size: int, *, setting: str = "batch_size") -> None:
    """Check that training can fill one batch.

    Args:
        dataset: The data set.
        batch_size: Images per step.
        setting: Name of the setting that determines it.

    Raises:
        InputError: The training split is smaller than a batch.
    """
    if len(dataset.train) < batch_size:
        raise InputError(
            f"{setting} is {batch_size}, but {dataset.name} has {len(dataset.train)} training images: "
            f"take at most {len(dataset.train)}, or add images"
        )


def require_crop(dataset: Dataset, crop: float) -> None:
    """Check that images to evaluate on are prepared with this center crop: see `Preparation`.

    Raises:
        InputError: They are not.
    """
    if dataset.preparation.crop != crop:
        raise InputError(
            f"the images of {dataset.name} have a center crop of {dataset.preparation.crop:g}, and the "
            f"network's is {crop:g}: load them with crop={crop:g}, or set the recipe's center_crop"
        )


def channel_statistics(
    images: NDArray[np.uint8],
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of each channel of (N, 3, H, W), for pixels in 0..1.

    A constant channel gets a deviation of 1, so that normalized values stay finite.

    >>> channel_statistics(np.zeros((2, 3, 4, 4), np.uint8))
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    """
    counts = np.zeros((3, 256), np.int64)
    # Counting values is exact, and by parts it needs no float copy of the whole split.
    for start in range(0, len(images), 256):
        for channel in range(3):
            part = images[start : start + 256, channel]
            counts[channel] += np.bincount(part.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(axis=1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1)
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return _triple(mean), _triple(std)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue
