"""What a detector finds in images: the evidence behind its AP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.annotations.rows import PADDING_CLASS
from nas.formatting import one_line
from nas.tasks.bootstrap import interval95, resamples
from nas.tasks.detection.average_precision import AveragePrecision, Evaluation
from nas.tasks.detection.confusion import chart, counted
from nas.tasks.detection.decoding import Suppression, detections
from nas.tasks.detection.found_boxes import FoundBoxes
from nas.tasks.detection.judged import JudgedImage, f1, matched
from nas.tasks.detection.losses import image_losses
from nas.tasks.detection.postprocessing import DetectorPostprocessing, unpadded
from nas.tasks.detection.voc_precision import voc_precision
from nas.tasks.display import Chart, Curve, Lines, Table, percent
from nas.tasks.intervals import Difference
from nas.tasks.task import Originals, Score

DRAWS = 200
"""Resamples of the images: each takes some milliseconds."""

SIZES = ("small", "medium", "large")

TITLES = {
    "AP50": "ap50",
    "AP75": "ap75",
    "AP small": "ap_small",
    "medium": "ap_medium",
    "large": "ap_large",
    "AR": "ar100",
    "VOC AP": "voc_ap",
    "VOC 2007": "voc2007_ap",
}
"""Figures that people are shown, and their keys in the details."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes found in images, beside the objects in them.

    Attributes:
        images: The images.
        classes: Number of classes.
        total_loss: Summed loss.
    """

    images: tuple[JudgedImage, ...]
    classes: int
    total_loss: float = 0.0

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def _evaluation(self) -> Evaluation:
        return Evaluation(self.images, self.classes)

    def average_precision(self) -> AveragePrecision:
        """Return AP over all images, and COCO's other figures."""
        return self._evaluation.average_precision()

    def score(self) -> Score:
        """Return COCO's AP, and the mean loss of an image."""
        ap = self.average_precision().ap
        return Score(0.0 if np.isnan(ap) else ap, self.total_loss / len(self))

    def interval(self) -> tuple[float, float]:
        """Return the 95% interval of AP by the bootstrap over images."""
        return interval95(self._resampled(), around=self.score().accuracy)

    def minus(self, other: Detections) -> Difference:
        """Return the difference of AP, with the bootstrap's interval over the same images."""
        points = self.score().accuracy - other.score().accuracy
        low, high = interval95(self._resampled() - other._resampled(), around=points, least=-1)
        return Difference(100 * points, 100 * low, 100 * high)

    def each(self) -> NDArray[np.float64]:
        """Return the F1 score of each image's boxes, (N,): see `judged.matched`."""
        return np.array([f1(pairs, background=self.classes) for pairs in self._pairs])

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return COCO's and VOC's further figures, figures by class, and the confusion matrix."""
        found, voc = self.average_precision(), voc_precision(self.images, self.classes)
        figures = {
            "ap50": found.ap50,
            "ap75": found.ap75,
            **_by_size("ap", found.ap_sizes),
            **dict(zip(("ar1", "ar10", "ar100"), found.ar, strict=True)),
            **_by_size("ar", found.ar_sizes),
            "voc_ap": voc.all_points,
            "voc2007_ap": voc.eleven_points,
        }
        return {
            **{key: _known(value) for key, value in figures.items()},
            "by_class": [
                {
                    "class": name,
                    "objects": self._objects(index),
                    "ap": _known(found.by_class[index]),
                    "ap50": _known(found.by_class_50[index]),
                    "ar": _known(found.by_class_recall[index]),
                }
                for index, name in enumerate(classes)
            ],
            "confusion": self._confusion().tolist(),
        }

    def tables(self, classes: Sequence[str]) -> tuple[Table, ...]:
        """Return COCO's figures, VOC's, and those of each class."""
        details = self.details(classes)
        rows = details["by_class"]
        return (
            Table(
                tuple(TITLES), (tuple(percent(details[key]) for key in TITLES.values()),), left=0
            ),
            Table(
                ("class", "objects", "AP", "AP50", "AR"),
                tuple(
                    (
                        one_line(row["class"]),
                        f"{row['objects']:,}",
                        *(percent(row[key]) for key in ("ap", "ap50", "ar")),
                    )
                    for row in rows
                ),
                caption="AP and AR in %",
            ),
        )

    def charts(self, classes: Sequence[str]) -> tuple[Chart, ...]:
        """Return precision over recall of each class that has objects, and the confusion matrix."""
        found = self.average_precision()
        recall = tuple(np.linspace(0, 1, found.curves.shape[1]).round(2).tolist())
        curves = tuple(
            Curve(f"{name} ({percent(ap50)})", recall, tuple(curve.round(4).tolist()))
            for name, ap50, curve in zip(classes, found.by_class_50, found.curves, strict=True)
            if np.isfinite(ap50)
        )
        note = "At an IoU of 0.5. In brackets: AP50 in percent, the area below the curve."
        lines = Lines("Precision over recall", note, "recall", "precision", curves)
        return lines, chart(self._confusion(), classes)

    @cached_property
    def _pairs(self) -> list[list[tuple[int, int]]]:
        """The true and found classes of each image."""
        return [matched(image, background=self.classes) for image in self.images]

    def _confusion(self) -> NDArray[np.int64]:
        return counted([pair for pairs in self._pairs for pair in pairs], self.classes)

    def _objects(self, class_: int) -> int:
        """Return the number of objects of a class that count."""
        return sum(
            int(((one.truth[:, 0] == class_) & (one.truth[:, 5] == 0)).sum()) for one in self.images
        )

    def _resampled(self) -> NDArray[np.float64]:
        """Return AP of resampled images, (DRAWS,)."""
        images = np.arange(len(self))
        draws = (np.repeat(images, often) for often in resamples(len(self))[:DRAWS])
        found = [self._evaluation.average_precision(drawn).ap for drawn in draws]
        return np.array([0.0 if np.isnan(ap) else ap for ap in found])

    def joined(self, others: Sequence[Detections]) -> Detections:
        """Return the evidence of these images followed by others."""
        every = [self, *others]
        images = tuple(image for part in every for image in part.images)
        return Detections(images, self.classes, sum(part.total_loss for part in every))

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as tensors and numbers."""
        return {
            "truth": [torch.from_numpy(image.truth) for image in self.images],
            "found": [torch.from_numpy(image.found) for image in self.images],
            "sizes": [image.size for image in self.images],
            "classes": self.classes,
            "total_loss": self.total_loss,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state_dict`."""
        images = (
            JudgedImage(truth.numpy(), found.numpy(), size)
            for truth, found, size in zip(
                state["truth"], state["found"], state["sizes"], strict=True
            )
        )
        return cls(tuple(images), state["classes"], state["total_loss"])

    def __getstate__(self) -> dict[str, object]:
        return {key: getattr(self, key) for key in ("images", "classes", "total_loss")}


def _by_size(name: str, figures: Sequence[float]) -> dict[str, float]:
    return {f"{name}_{size}": one for size, one in zip(SIZES, figures, strict=True)}


def _known(figure: float) -> float | None:
    return None if np.isnan(figure) else figure


class DetectionsMeter:
    """Collects the boxes that a detector finds.

    Args:
        classes: Number of classes.
        kind: See `SSDLiteHead.scores`.
        anchors: From scores (N, A, classes + 1) to their anchors (A, 4).
        originals: The images as their files have them, if known: objects are small or large by their sizes.
    """

    def __init__(
        self,
        classes: int,
        *,
        kind: Literal["softmax", "sigmoid"],
        anchors: Callable[[Tensor], Tensor],
        originals: Originals | None = None,
    ) -> None:
        self._originals = originals
        self._classes, self._kind, self._anchors = classes, kind, anchors
        self._keep = Suppression()
        self._images: list[JudgedImage] = []
        self._loss: Tensor | float = 0.0

    def add(self, outputs: Tensor | tuple[Tensor, ...], targets: Tensor) -> None:
        """Take in scores (N, A, classes + 1), offsets (N, A, 4) and targets (N, M, 6)."""
        for found, rows in zip(self._found(outputs, targets), targets.cpu().numpy(), strict=True):
            assert found.scores is not None
            table = np.column_stack(
                [found.classes.cpu(), found.scores.cpu(), found.corners.cpu()]
            ).astype(np.float32)
            size = None if self._originals is None else self._originals.size(len(self._images))
            self._images.append(JudgedImage(rows[rows[:, 0] != PADDING_CLASS], table, size))

    def _found(self, outputs: Tensor | tuple[Tensor, ...], targets: Tensor) -> list[FoundBoxes]:
        """Return the boxes, and add the loss: it cannot be computed from boxes alone."""
        if len(outputs) == len(DetectorPostprocessing.output_names):
            self._loss = nan
            return unpadded(*outputs)
        scores, offsets = (output.float() for output in outputs)
        anchors = self._anchors(scores)
        losses, positives = image_losses(scores, offsets, targets, anchors, kind=self._kind)
        self._loss = self._loss + (losses / positives.clamp(min=1)).sum().double()
        return detections(scores, offsets, anchors, kind=self._kind, keep=self._keep)

    def evidence(self) -> Detections:
        """Return what was found, in the order in which the images were added."""
        return Detections(tuple(self._images), self._classes, float(self._loss))
