"""Which classes a segmentation network gives to pixels: the evidence behind its mean IoU.

The IoU of a class is its correct pixels over all pixels that are of it or given to it. Pixels are summed
over the images first. Mean IoU is the mean over the classes that occur in the masks or in the predictions;
others have no IoU. This is torchmetrics' `MulticlassJaccardIndex` with `average="macro"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.masks.coding import IGNORED
from nas.formatting import one_line
from nas.tasks.bootstrap import interval95, resamples
from nas.tasks.display import Chart, Matrix, Table, percent
from nas.tasks.intervals import Difference
from nas.tasks.outputs import Outputs
from nas.tasks.segmentation.class_maps import nearest
from nas.tasks.segmentation.logits import cross_entropy, parts, strips
from nas.tasks.task import Originals, Score


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """The confusion matrix of each of some images.

    Attributes:
        confusion: Number of pixels by true and by given class, int32 (N, classes, classes), without ignored
            ones.
        total_loss: Summed cross entropy of the pixels, in nats.
    """

    confusion: NDArray[np.int32]
    total_loss: float = 0.0

    def __len__(self) -> int:
        return len(self.confusion)

    @property
    def whole(self) -> NDArray[np.int64]:
        """The confusion matrix of all images, (classes, classes)."""
        summed: NDArray[np.int64] = self.confusion.sum(axis=0, dtype=np.int64)
        return summed

    @property
    def mean_iou(self) -> float:
        """Mean IoU, 0..1; 0 if no pixel counts."""
        return float(mean_iou(_totals(self.whole)))

    @property
    def pixel_accuracy(self) -> float:
        """Fraction of the pixels that are given their class, 0..1."""
        whole = self.whole
        return float(np.trace(whole) / max(1, whole.sum()))

    @property
    def class_accuracy(self) -> float:
        """Mean accuracy of the classes that occur in the masks, 0..1; 0 if none does."""
        each = self.accuracy_by_class()
        return float(each[np.isfinite(each)].mean()) if np.isfinite(each).any() else 0.0

    def accuracy_by_class(self) -> NDArray[np.float64]:
        """Return the fraction of each class's pixels that are given it, (classes,); NaN without pixels."""
        whole = self.whole
        return _fractions(np.diagonal(whole), whole.sum(axis=1))

    def iou_by_class(self) -> NDArray[np.float64]:
        """Return the IoU of each class, (classes,); NaN for those that do not occur."""
        return ious(_totals(self.whole))

    def score(self) -> Score:
        """Return mean IoU, and the mean cross entropy of a pixel in nats."""
        return Score(self.mean_iou, self.total_loss / max(1, int(self.whole.sum())))

    def interval(self) -> tuple[float, float]:
        """Return the bootstrap's interval of mean IoU, over images."""
        return interval95(self._resampled(), around=self.mean_iou)

    def minus(self, other: PixelCounts) -> Difference:
        """Return the difference of mean IoU, with the bootstrap's interval over the same images."""
        assert len(self) == len(other)
        points = self.mean_iou - other.mean_iou
        low, high = interval95(self._resampled() - other._resampled(), around=points, least=-1)
        return Difference(100 * points, 100 * low, 100 * high)

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return accuracies, IoU, accuracy and pixels by class, and the confusion matrix, as plain data.

        Args:
            classes: Names of the classes.
        """
        whole = self.whole
        by_class = zip(
            classes,
            self.iou_by_class().tolist(),
            self.accuracy_by_class().tolist(),
            whole.sum(axis=1).tolist(),
            strict=True,
        )
        return {
            "pixel_accuracy": self.pixel_accuracy,
            "class_accuracy": self.class_accuracy,
            "by_class": [
                {"class": name, "iou": _known(iou), "accuracy": _known(accuracy), "pixels": pixels}
                for name, iou, accuracy, pixels in by_class
            ],
            "confusion": whole.tolist(),
        }

    def each(self) -> NDArray[np.float64]:
        """Return the mean IoU of each image over the classes in it, (N,); 1 if no pixel counts."""
        counts = self.confusion.sum(axis=(1, 2)) > 0
        return np.where(counts, mean_iou(_totals(self.confusion)), 1.0)

    def tables(self, classes: Sequence[str]) -> tuple[Table, ...]:
        """Return the accuracies, and IoU, accuracy and pixels of each class."""
        details = self.details(classes)
        pixels = max(1, int(self.whole.sum()))
        accuracies = tuple(percent(details[key]) for key in ("pixel_accuracy", "class_accuracy"))
        return (
            Table(("pixel accuracy", "mean class accuracy"), (accuracies,), left=0),
            Table(
                ("class", "IoU", "accuracy", "share of pixels"),
                tuple(
                    (
                        one_line(row["class"]),
                        percent(row["iou"]),
                        percent(row["accuracy"]),
                        percent(row["pixels"] / pixels),
                    )
                    for row in details["by_class"]
                ),
                caption="in %",
            ),
        )

    def charts(self, classes: Sequence[str]) -> tuple[Chart, ...]:
        """Return the confusion matrix of pixels."""
        counts = tuple(map(tuple, self.whole.tolist()))
        note = "Rows: the class of the pixels in the masks; columns: the class that they are given."
        return (Matrix("Confusion", note, "pixels", tuple(classes), tuple(classes), counts),)

    def joined(self, others: Sequence[PixelCounts]) -> PixelCounts:
        """Return the counts of these images followed by others'; a process may have none."""
        every = [part for part in (self, *others) if len(part)] or [self]
        return PixelCounts(
            np.concatenate([part.confusion for part in every]),
            sum(part.total_loss for part in every),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as tensors and numbers."""
        return {"confusion": torch.from_numpy(self.confusion), "total_loss": self.total_loss}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state_dict`."""
        return cls(state["confusion"].numpy(), state["total_loss"])

    def _resampled(self) -> NDArray[np.float64]:
        """Return the mean IoU of resampled images, (draws,)."""
        totals = _totals(self.confusion).astype(np.float64)  # (N, 3, classes)
        summed = resamples(len(self)) @ totals.reshape(len(self), -1)
        return mean_iou(summed.reshape(-1, *totals.shape[1:]))


def _totals(confusion: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return each class's correct, true and given pixels: (..., classes, classes) -> (..., 3, classes)."""
    correct = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, given = (confusion.sum(axis=axis, dtype=np.int64) for axis in (-1, -2))
    return np.stack([correct, true, given], axis=-2)


def ious(totals: NDArray[Any]) -> NDArray[np.float64]:
    """Return the IoU of each class, (..., 3, classes) -> (..., classes); NaN for those without pixels."""
    correct, true, given = np.moveaxis(totals, -2, 0)
    return _fractions(correct, true + given - correct)


def _fractions(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    """Return parts over wholes; NaN where a whole is 0."""
    found = np.full(wholes.shape, np.nan)
    np.divide(parts, wholes, out=found, where=wholes > 0)
    return found


def _known(figure: float) -> float | None:
    return None if np.isnan(figure) else figure


def mean_iou(totals: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean over the classes that have an IoU, (..., 3, classes) -> (...); 0 if none has.

    >>> counts = np.array([[6, 0, 0], [8, 2, 0], [8, 2, 0]])  # 6/10, 0/4, and a class that is absent
    >>> float(mean_iou(counts))
    0.3
    """
    each = ious(totals)
    occurring = np.isfinite(each).sum(axis=-1)
    mean: NDArray[np.float64] = np.nansum(each, axis=-1) / np.maximum(occurring, 1)
    return mean


class PixelMeter:
    """Counts pixels by true and given class; counts stay on the device, where reading them would wait.

    Args:
        classes: Number of classes, if known: class indices alone do not say it.
        originals: The images as their files have them, if known: their masks are then read one by one, and
            take the place of the targets.
    """

    def __init__(self, classes: int | None = None, *, originals: Originals | None = None) -> None:
        self._classes, self._originals, self._images = classes, originals, 0
        self._confusion: list[Tensor] = []
        self._loss: Tensor | float = 0.0

    def add(self, outputs: Outputs, targets: Tensor) -> None:
        """Take in logits (N, classes, h, w), or class indices (N, h, w), and masks (N, H, W)."""
        assert isinstance(outputs, Tensor)
        for scores, masks in self._judged(outputs, targets):
            counts: Tensor | int = 0
            for given, rows in self._given(scores, masks):
                counts = counts + confusion(given, rows, classes=self._count(scores))
            assert isinstance(counts, Tensor)
            self._confusion.append(counts)

    def _judged(self, outputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the outputs for one image or more, with their masks."""
        if self._originals is None:
            yield from parts(outputs, targets)
            return
        for one in outputs:
            yield one[None], self._originals.target(self._images).to(outputs.device)
            self._images += 1

    def _given(self, outputs: Tensor, masks: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the classes that pixels are given, and their true ones; add the loss of logits."""
        if outputs.ndim == 3:
            self._loss = nan  # class indices do not say how likely they are
            yield nearest(outputs, (masks.shape[-2], masks.shape[-1])).long(), masks
            return
        for full, rows in strips(outputs.float(), masks):
            summed, _ = cross_entropy(full, rows)
            self._loss = self._loss + summed.double()
            yield full.max(dim=1).indices, rows  # on a CPU ten times as fast as argmax

    def _count(self, outputs: Tensor) -> int:
        """Return the number of classes."""
        if outputs.ndim == 4:
            return outputs.shape[1]
        assert self._classes is not None
        return self._classes

    def evidence(self) -> PixelCounts:
        """Return the counts in the order in which images were added."""
        if not self._confusion:  # a process's part of every batch may be empty
            return PixelCounts(np.zeros((0, 1, 1), np.int32))
        counted = torch.cat([part.cpu() for part in self._confusion])
        return PixelCounts(counted.numpy(), float(self._loss))


def confusion(given: Tensor, masks: Tensor, *, classes: int) -> Tensor:
    """Count the pixels of each image by true and given class, int32 (N, classes, classes).

    Args:
        given: Predicted classes, int64 (N, H, W).
        masks: True classes, uint8 (N, H, W); those of 255 are not counted.
        classes: Number of classes.
    """
    cells = classes * masks.long() + given
    cells = cells.masked_fill(masks == IGNORED, classes**2).flatten(1)
    counts = torch.zeros(len(masks), classes**2 + 1, dtype=torch.int32, device=masks.device)
    counts.scatter_add_(1, cells, torch.ones_like(cells, dtype=torch.int32))
    return counts[:, :-1].view(-1, classes, classes)
