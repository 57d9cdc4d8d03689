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

MOST_DETECTIONS = 100
"""Of an image, the best ones, as COCO counts them."""


@dataclass(frozen=True)
class JudgedImage:
    """What a detector found in an image, and what is there.

    Attributes:
        truth: float32 (m, 6): class, x1, y1, x2, y2 as fractions of the image, ignored.
        found: float32 (n, 6): class, score, x1, y1, x2, y2 as fractions of the image.
        size: Width and height in pixels, by which objects are small (below 32 x 32), medium or large (from
            96 x 96).
    """

    truth: NDArray[np.float32]
    found: NDArray[np.float32]
    size: tuple[int, int]


@dataclass(frozen=True)
class AveragePrecision:
    """AP of a set of images, each in 0..1; NaN where there are no objects.

    Attributes:
        ap: Mean over classes and IoU thresholds from 0.5 to 0.95.
        ap50: At an IoU of 0.5.
        ap75: At an IoU of 0.75.
        small: `ap` of objects below 32 x 32 pixels.
        medium: `ap` of objects below 96 x 96 pixels.
        large: `ap` of the others.
        by_class: `ap` of each class.
        by_class_50: `ap50` of each class.
    """

    ap: float
    ap50: float
    ap75: float
    small: float
    medium: float
    large: float
    by_class: tuple[float, ...]
    by_class_50: tuple[float, ...]


class Evaluation:
    """The matches of a detector's boxes with the objects of images, from which AP is read.

    Args:
        images: The images.
        classes: Number of classes.
    """

    def __init__(self, images: Sequence[JudgedImage], classes: int) -> None:
        self.images, self.classes = images, classes
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
        return AveragePrecision(
            ap=_mean(precision[..., 0]),
            ap50=_mean(precision[0, ..., 0]),
            ap75=_mean(precision[5, ..., 0]),
            small=_mean(precision[..., 1]),
            medium=_mean(precision[..., 2]),
            large=_mean(precision[..., 3]),
            by_class=tuple(_mean(precision[:, :, one, 0]) for one in range(self.classes)),
            by_class_50=tuple(_mean(precision[0, :, one, 0]) for one in range(self.classes)),
        )


def _mean(precision: NDArray[np.float64]) -> float:
    """Return the mean of precisions; -1 stands for a class without objects."""
    known = precision[precision > -1]
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
            {"id": index, "width": image.size[0], "height": image.size[1]}
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


def _in_pixels(rows: NDArray[np.float32], first: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """Scale the corners in columns `first` to `first + 3` from fractions to pixels."""
    pixels = rows.astype(np.float64)
    pixels[:, first : first + 4] *= [size[0], size[1], size[0], size[1]]
    return pixels
