"""Order of the training images: which batch belongs to which step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nas.data.images import Batch, Split
from nas.data.share import WHOLE, Share
from nas.randomness import ORDER, generator


@dataclass(frozen=True)
class FirstPart:
    """The first steps of a training, on the same images at another resolution.

    Attributes:
        split: The training images at that resolution.
        steps: Number of the recipe's steps that use them.
        px: Side that the network is trained at then; None is that of the images.
    """

    split: Split
    steps: int
    px: int | None = None


@dataclass(frozen=True)
class Order:
    """The batches of a training; each epoch has its own order, a function of the seed.

    Attributes:
        split: The training images.
        batch_size: Images per step; an incomplete batch at the end of an epoch is dropped.
        seed: Seed of the training.
        first: Images for the first steps, if different.
        share: Which part of every batch is read.
    """

    split: Split
    batch_size: int
    seed: int
    first: FirstPart | None = None
    share: Share = WHOLE

    def batches(self, step: int) -> Iterator[Batch]:
        """Yield the batches of a step and of all that follow, without end."""
        epochs_before = 0
        if self.first is not None:
            steps = self.first.steps
            yield from self._part(self.first.split, step, stop=steps, epochs_before=0)
            epochs_before = math.ceil(steps / self._length(self.first.split))
            step = max(0, step - steps)
        yield from self._part(self.split, step, stop=None, epochs_before=epochs_before)

    def steps_at_this_size(self, step: int) -> int:
        """Return how many of the first `step` steps had the resolution of the next one."""
        if self.first is None or step < self.first.steps:
            return step
        return step - self.first.steps

    def _part(
        self, split: Split, step: int, *, stop: int | None, epochs_before: int
    ) -> Iterator[Batch]:
        for epoch, skip, end in epochs_of(step, stop, self._length(split)):
            batches = split.batches(
                self.batch_size,
                generator=generator(self.seed, ORDER, epochs_before + epoch),
                drop_last=True,
                skip=skip,
                share=self.share,
            )
            for batch, _ in zip(batches, range(skip, end), strict=False):
                yield batch

    def _length(self, split: Split) -> int:
        return len(split) // self.batch_size


def epochs_of(step: int, stop: int | None, length: int) -> Iterator[tuple[int, int, int]]:
    """Yield (epoch, first batch, end) for the steps from `step` to `stop` in epochs of `length` steps.

    >>> list(epochs_of(5, 11, 4))
    [(1, 1, 4), (2, 0, 3)]
    """
    while stop is None or step < stop:
        epoch, skip = divmod(step, length)
        yield epoch, skip, length if stop is None else min(length, stop - epoch * length)
        step = (epoch + 1) * length
