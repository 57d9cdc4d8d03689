"""What a detector finds in images: the evidence behind its AP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nas.data.annotations.rows import PADDING_CLASS
from nas.tasks.bootstrap import interval95, resamples
from nas.tasks.detection.average_precision import AveragePrecision, Evaluation, JudgedImage
from nas.tasks.detection.decoding import Suppression, detections
from nas.tasks.detection.found_boxes import FoundBoxes
from nas.tasks.detection.losses import image_losses
from nas.tasks.detection.postprocessing import DetectorPostprocessing, unpadded
from nas.tasks.intervals import Difference
from nas.tasks.task import Score

ANY_SIZE = (640, 640)
"""Pixels of an image whose size is not known: AP by size of objects then is of no use."""

DRAWS = 200
"""Resamples of the images: each takes some milliseconds."""


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
        """Return AP over all images, and its parts."""
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
        low, high = interval95(self._resampled() - other._resampled(), around=points)
        return Difference(100 * points, 100 * low, 100 * high)

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return AP at single overlaps, by size of the objects and by class; None where there are none."""
        found = self.average_precision()
        by_class = zip(classes, found.by_class, found.by_class_50, strict=True)
        return {
            "ap50": _known(found.ap50),
            "ap75": _known(found.ap75),
            "ap_small": _known(found.small),
            "ap_medium": _known(found.medium),
            "ap_large": _known(found.large),
            "by_class": [
                {"class": name, "ap": _known(ap), "ap50": _known(ap50)}
                for name, ap, ap50 in by_class
            ],
        }

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

    def __getstate__(self) -> dict[str, object]:
        return {key: getattr(self, key) for key in ("images", "classes", "total_loss")}


def _known(figure: float) -> float | None:
    return None if np.isnan(figure) else figure


class DetectionsMeter:
    """Collects the boxes that a detector finds.

    Args:
        classes: Number of classes.
        kind: See `SSDLiteHead.scores`.
        anchors: From scores (N, A, classes + 1) to their anchors (A, 4).
    """

    def __init__(
        self,
        classes: int,
        *,
        kind: Literal["softmax", "sigmoid"],
        anchors: Callable[[Tensor], Tensor],
    ) -> None:
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
            self._images.append(JudgedImage(rows[rows[:, 0] != PADDING_CLASS], table, ANY_SIZE))

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
