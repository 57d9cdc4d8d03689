"""Evaluate a trained network on images whose classes are matched by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.class_file import ClassFile
from nas.checkpoints.class_map import class_map
from nas.checkpoints.class_names import Notify
from nas.checkpoints.usage import Usage
from nas.data.images import Batch, Dataset, Split, labels_of
from nas.data.share import WHOLE, Share
from nas.tasks import CLASSIFY, task_of
from nas.training.evaluate import evaluate


@dataclass(frozen=True)
class SplitScore:
    """Top-1 accuracy, 0..1, with its 95% interval (Wilson's) and the number of images."""

    accuracy: float
    ci95: tuple[float, float]
    images: int

    @classmethod
    def of(cls, accuracy: float, images: int) -> Self:
        """Compute the interval of an accuracy."""
        return cls(accuracy, wilson(accuracy, images), images)


def score(checkpoint: Checkpoint, data: Dataset, splits: Sequence[str]) -> SplitScore:
    """Compute a checkpoint's top-1 accuracy over splits of the data, on the CPU.

    Classes are matched by name (see `relabelled`). The data may lack some of the network's classes; the
    network may still predict them.

    Args:
        checkpoint: Network and weights.
        data: Images at the resolution to evaluate at.
        splits: Of `train`, `val` and `test`.

    Raises:
        InputError: A class of the data is unknown to the network or ambiguous.
    """
    data = relabelled(data, checkpoint.usage)
    network = checkpoint.network()
    correct, images = 0.0, 0
    for name in splits:
        split: Split = getattr(data, name)
        mean, std = checkpoint.usage.mean, checkpoint.usage.std
        part = evaluate(network, split, mean=mean, std=std, task=data.task)
        correct += part.accuracy * len(split)
        images += len(split)
    return SplitScore.of(correct / images, images)


def relabelled(
    data: Dataset,
    usage: Usage,
    *,
    classes: ClassFile | None = None,
    notify: Notify = lambda _: None,
) -> Dataset:
    """Replace the data's labels by indices into a network's classes.

    Args:
        data: Images of classes matched by name; see `nas.checkpoints.class_names.matched`.
        usage: The network's classes. If they have no names, the data must have the same number, which are
            taken in order.
        classes: Contents of the file given by `--classes`.
        notify: Is notified of inexact matches.

    Raises:
        InputError: A class of the data is unknown to the network or ambiguous.
    """
    found = class_map(data.classes, usage, classes)
    indices = found.indices()
    for note in found.notes:
        notify(note)
    if indices == tuple(range(len(found.names))):
        return data if data.classes == found.names else replace(data, classes=found.names)
    lookup = np.array(indices, np.int64)
    train, val, test = (Relabelled(s, lookup, data.task) for s in (data.train, data.val, data.test))
    return replace(data, classes=found.names, train=train, val=val, test=test)


@dataclass(frozen=True)
class Relabelled:
    """A split with targets for another list of classes.

    Attributes:
        split: The images, with their own targets.
        indices: Index into the other list for each own class, (own classes,).
        task: What is learned of the images; see `nas.tasks.task_of`.
    """

    split: Split
    indices: NDArray[np.int64]
    task: str = CLASSIFY

    def __len__(self) -> int:
        return len(self.split)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Class index of every image, (N,); None if the split does not hold its labels."""
        own = labels_of(self.split)
        return None if own is None else self.indices[own]

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
        task, lookup = task_of(self.task), torch.from_numpy(self.indices)
        for images, targets in self.split.batches(
            batch_size, generator=generator, drop_last=drop_last, skip=skip, share=share
        ):
            yield images, task.relabelled(targets, lookup)


def wilson(share: float, count: int, *, z: float = 1.96) -> tuple[float, float]:
    """Return the 95% interval of a proportion `share` of `count` trials (Wilson 1927).

    >>> low, high = wilson(0.5, 100)
    >>> round(low, 3), round(high, 3)
    (0.404, 0.596)
    """
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = math.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) * z / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)
