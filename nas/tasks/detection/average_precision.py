"""COCO's average precision, by faster-coco-eval: https://cocodataset.org/#detection-eval.

A detection is right if its class is, and its IoU with an object that no better one has taken is at least a
threshold. AP is the area under the curve of precision over recall, averaged over the classes and over the
thresholds 0.50, 0.55, ... 0.95.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from nas.tasks.detection.judged import JudgedImage

MOST_DETECTIONS = 100
"""Of an image, the best ones, as COCO counts them."""

ANY_SIZE = (1, 1)
"""Pixels of an image whose size is not known; no figure that is given depends on them."""


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's figures of a set of images, each in 0..1; NaN where there are no objects.

    Those by size of the objects are NaN if the size of an image is not known.

    Attributes:
        ap: AP, the mean over classes and IoU thresholds from 0.5 to 0.95.
        ap50: AP at an IoU of 0.5.
        ap75: AP at an IoU of 0.75.
        ap_sizes: AP of objects below 32 x 32 pixels, below 96 x 96 pixels, and of larger ones.
        ar: AR, the mean recall, with at most 1, 10 and 100 boxes an image.
        ar_sizes: AR of objects of the three sizes.
        by_class: AP of each class.
        by_class_50: AP at an IoU of 0.5 of each class.
        by_class_recall: AR of each class.
        curves: Precision of each class at an IoU of 0.5 and recalls of 0, 0.01, ... 1: (classes, 101).
    """

    ap: float
    ap50: float
    ap75: float
    ap_sizes: tuple[float, float, float]
    ar: tuple[float, float, float]
    ar_sizes: tuple[float, float, float]
    by_class: tuple[float, ...]
    by_class_50: tuple[float, ...]
    by_class_recall: tuple[float, ...]
    curves: NDArray[np.float64]


class Evaluation:
    """The matches of a detector's boxes with the objects of images, from which AP is read.

    Args:
        images: The images.
        classes: Number of classes.
    """

    def __init__(self, images: Sequence[JudgedImage], classes: int) -> None:
        self.images, self.classes = images, classes
        self._has_sizes = all(image.size is not None for image in images)
        truth = COCO(_truth(images, classes))
        found = truth.loadRes(_found(images)) if any(len(one.found) for one in images) else COCO()
        self._evaluation = COCOeval_faster(
            truth, found, "bbox", print_function=_silent, separate_eval=True
        )
        self._evaluation.params.maxDets = [1, 10, MOST_DETECTIONS]
        self._evaluation.evaluate()

    @cached_property
    def _matches(self) -> NDArray[np.object_]:
        """The matches of every class, range of sizes and image, in this order."""
        ranges = len(self._evaluation.params.areaRng)
        flat = np.empty(self.classes * ranges * len(self.images), object)
        flat[:] = self._evaluation._evalImgs_cpp
        return flat.reshape(self.classes, ranges, len(self.images))

    def average_precision(self, chosen: NDArray[np.int64] | None = None) -> AveragePrecision:
        """Return the AP of all images, or of those with these indices, which may repeat."""
        indices = np.arange(len(self.images)) if chosen is None else chosen
        self._evaluation._evalImgs_cpp = self._matches[:, :, indices].ravel().tolist()
        self._evaluation._paramsEval.imgIds = list(range(len(indices)))
        self._evaluation.accumulate()
        # (thresholds, recalls, classes, ranges of size, numbers of detections)
        precision = self._evaluation.eval["precision"][..., -1]
        recall = self._evaluation.eval["recall"]  # as precision, without the recalls
        every = precision[..., 0]
        classes = range(self.classes)
        return AveragePrecision(
            ap=_mean(every),
            ap50=_mean(every[0]),
            ap75=_mean(every[5]),
            ap_sizes=self._by_size(precision),
            ar=(_mean(recall[..., 0, 0]), _mean(recall[..., 0, 1]), _mean(recall[..., 0, 2])),
            ar_sizes=self._by_size(recall[..., -1]),
            by_class=tuple(_mean(every[:, :, one]) for one in classes),
            by_class_50=tuple(_mean(every[0, :, one]) for one in classes),
            by_class_recall=tuple(_mean(recall[:, one, 0, -1]) for one in classes),
            curves=np.where(every[0] > -1, every[0], np.nan).T,
        )

    def _by_size(self, figures: NDArray[np.float64]) -> tuple[float, float, float]:
        """Return the mean of small, medium and large objects' figures, whose sizes come last."""
        if not self._has_sizes:
            return (float("nan"),) * 3
        return _mean(figures[..., 1]), _mean(figures[..., 2]), _mean(figures[..., 3])


def _mean(figures: NDArray[np.float64]) -> float:
    """Return the mean of precisions or recalls; -1 stands for a class without objects."""
    known = figures[figures > -1]
    return float(known.mean()) if known.size else float("nan")


def _silent(*_: object) -> None:
    pass


def _truth(images: Sequence[JudgedImage], classes: int) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for index, image in enumerate(images):
        for class_, x1, y1, x2, y2, ignored in _in_pixels(image.truth, 1, image.size).tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": int(class_),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(ignored),
                }
            )
    return {
        "images": [
            dict(zip(("id", "width", "height"), (index, *(image.size or ANY_SIZE)), strict=True))
            for index, image in enumerate(images)
        ],
        "categories": [{"id": index, "name": str(index)} for index in range(classes)],
        "annotations": annotations,
    }


def _found(images: Sequence[JudgedImage]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": index,
            "category_id": int(class_),
            "score": score,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
        }
        for index, image in enumerate(images)
        for class_, score, x1, y1, x2, y2 in _in_pixels(image.found, 2, image.size).tolist()
    ]


def _in_pixels(
    rows: NDArray[np.float32], first: int, size: tuple[int, int] | None
) -> NDArray[np.float64]:
    """Scale the corners in columns `first` to `first + 3` from fractions to pixels."""
    pixels = rows.astype(np.float64)
    pixels[:, first : first + 4] *= 2 * (size or ANY_SIZE)
    return pixels
