"""Evaluate a trained network on images whose classes are matched by name."""

from __future__ import annotations

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
from nas.tasks.task import Evidence
from nas.training.evaluate import evidence


@dataclass(frozen=True)
class SplitScore:
    """The task's metric, 0..1, with its 95% interval and the number of images."""

    accuracy: float
    ci95: tuple[float, float]
    images: int

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Compute metric and interval."""
        return cls(evidence.score().accuracy, evidence.interval(), len(evidence))


def score(checkpoint: Checkpoint, data: Dataset, splits: Sequence[str]) -> SplitScore:
    """Compute a checkpoint's metric over splits of the data, on the CPU.

    Classes are matched by name (see `relabelled`). The data may lack some of the network's classes; the
    network may still predict them.

    Args:
        checkpoint: Network and weights.
        data: Images at the resolution to evaluate at.
        splits: Of `train`, `val` and `test`.

    Raises:
        InputError: A class of the data is unknown to the network or ambiguous.
    """
    return SplitScore.of(evidence_on(checkpoint, data, splits))


def evidence_on(checkpoint: Checkpoint, data: Dataset, splits: Sequence[str]) -> Evidence:
    """Return what a checkpoint does on each image of splits of the data; see `score`."""
    data = relabelled(data, checkpoint.usage)
    network = checkpoint.network()
    mean, std = checkpoint.usage.mean, checkpoint.usage.std
    first, *others = (
        evidence(network, getattr(data, name), mean=mean, std=std, task=data.task)
        for name in splits
    )
    return first.joined(others)


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
