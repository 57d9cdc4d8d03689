"""Pascal VOC's average precision (Everingham et al. 2010, section 4.2), as its development kit computes it.

It differs from COCO's in what a box is compared with: the object that it overlaps most, even if a better
box has taken that one. Boxes on `difficult` objects are left out, and so are these objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.tasks.detection.judged import JudgedImage, overlaps

LEAST_IOU = 0.5

WRONG, RIGHT, LEFT_OUT = 0, 1, -1


class VocPrecision(NamedTuple):
    """Mean AP at an IoU of 0.5 over the classes that have objects, 0..1; NaN if none has.

    Attributes:
        all_points: Area under the curve, as in VOC since 2010.
        eleven_points: Mean precision at recalls of 0, 0.1, ... 1, as in VOC 2007.
    """

    all_points: float
    eleven_points: float


def voc_precision(images: Sequence[JudgedImage], classes: int) -> VocPrecision:
    """Compute VOC's mean AP of images."""
    each = [of_class(images, one) for one in range(classes)]
    known = [found for found in each if found is not None]
    if not known:
        return VocPrecision(float("nan"), float("nan"))
    area, eleven = np.mean(np.array(known), axis=0).tolist()
    return VocPrecision(area, eleven)


def of_class(images: Sequence[JudgedImage], class_: int) -> VocPrecision | None:
    """Compute the AP of one class; None if no object of it counts."""
    objects = 0
    scores, outcomes = [np.zeros(0)], [np.zeros(0, np.int64)]
    for image in images:
        truth = image.truth[image.truth[:, 0] == class_]
        found = image.found[image.found[:, 0] == class_]
        objects += int((truth[:, 5] == 0).sum())
        if len(found):
            found = found[np.argsort(-found[:, 1], kind="stable")]
            scores.append(found[:, 1])
            outcomes.append(_judged(found, truth))
    if not objects:
        return None
    order = np.argsort(-np.concatenate(scores), kind="stable")
    outcome = np.concatenate(outcomes)[order]
    counted = outcome[outcome != LEFT_OUT]
    right = np.cumsum(counted == RIGHT)
    return _averaged(right, right / np.arange(1, len(counted) + 1), objects)


def _judged(found: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the outcome of each box of one class in an image, the best score first."""
    outcomes = np.full(len(found), WRONG)
    if not len(truth):
        return outcomes
    iou = overlaps(found[:, 2:6], truth[:, 1:5])
    taken = np.zeros(len(truth), bool)
    for row, best in enumerate(iou.argmax(axis=1).tolist()):
        if iou[row, best] < LEAST_IOU:
            continue
        if truth[best, 5]:
            outcomes[row] = LEFT_OUT
        elif not taken[best]:
            outcomes[row], taken[best] = RIGHT, True
    return outcomes


def _averaged(
    right: NDArray[np.int64], precision: NDArray[np.float64], objects: int
) -> VocPrecision:
    """Average precision over recall.

    Args:
        right: Right boxes among the first n, (n,).
        precision: Their fraction, (n,).
        objects: Number of objects.
    """
    # The best precision at this recall or a higher one.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(right, prepend=0)
    at_least = np.searchsorted(10 * right, np.arange(11) * objects)  # whole numbers: no rounding
    eleven = np.append(envelope, 0.0)[at_least]
    return VocPrecision(float((steps * envelope).sum() / objects), float(eleven.mean()))
