"""The images that trials are read on: so many that chance does not rank the networks.

A few hundred held-out images leave two or three points of standard error. Trials therefore do without some
of the training images, and are read on these too. The parent has seen them in its own training, so
accuracies on them are too high, but they are so for all of its sub-networks. Finalists train on all
training images, and are compared on held-out ones alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nas.data.image_files.pictures import SomePictures
from nas.data.images import ArraySplit, Batch, Split
from nas.data.share import WHOLE, Share
from nas.data.streaming import StreamingSplit
from nas.searching.from_parent.readings import kept_back

if TYPE_CHECKING:
    from nas.data.images import Dataset

SEED = 0


def for_trials(data: Dataset) -> Dataset:
    """Return the images for trials: fewer to train on, and more held out.

    Args:
        data: The images of finalists.
    """
    train, px = data.train, data.resolution_px
    count = kept_back(train=len(train), val=len(data.val))
    if not count or not isinstance(train, ArraySplit | StreamingSplit):
        return data
    order = np.random.default_rng(SEED).permutation(len(train))
    back, rest = np.sort(order[:count]), np.sort(order[count:])
    return replace(
        data,
        train=part_of(train, rest),
        val=Joined((data.val, part_of(train, back)), px),
    )


def part_of(split: ArraySplit | StreamingSplit, indices: NDArray[np.int64]) -> Split:
    """Return the images of a split at some indices."""
    if isinstance(split, ArraySplit):
        return ArraySplit(split.images[indices], split.labels[indices])
    return replace(split, pictures=SomePictures(split.pictures, indices))


@dataclass(frozen=True)
class Joined:
    """Several splits one after another, to evaluate on.

    Attributes:
        parts: The splits; training images may be stored larger than the others.
        px: Side of the images.
    """

    parts: tuple[Split, ...]
    px: int

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def batches(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
        skip: int = 0,
        share: Share = WHOLE,
    ) -> Iterator[Batch]:
        """Iterate over the splits once, in their stored order; see `Split.batches`.

        Raises:
            ValueError: They are to be shuffled, cut or entered midway, which no evaluation does.
        """
        if generator is not None or drop_last or skip:
            raise ValueError("joined splits are for evaluation: read them whole and in order")
        for images, labels in chain.from_iterable(
            part.batches(batch_size, share=share) for part in self.parts
        ):
            yield self._resized(images), labels

    def _resized(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] == self.px:
            return images
        resized = functional.interpolate(
            images.float(), size=(self.px, self.px), mode="bilinear", antialias=True
        )
        return resized.round().clamp(0, 255).byte()
