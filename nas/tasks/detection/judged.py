"""What a detector found in an image beside what is there, and which box is which object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.tasks.detection.found_boxes import DRAWN_SCORE

LEAST_IOU = 0.5


@dataclass(frozen=True)
class JudgedImage:
    """What a detector found in an image, and what is there.

    Attributes:
        truth: float32 (m, 6): class, x1, y1, x2, y2 as fractions of the image, ignored.
        found: float32 (n, 6): class, score, x1, y1, x2, y2 as fractions of the image.
        size: Width and height in pixels, by which objects are small (below 32 x 32), medium or large (from
            96 x 96); None if they are not known.
    """

    truth: NDArray[np.float32]
    found: NDArray[np.float32]
    size: tuple[int, int] | None


def overlaps(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the IoU of boxes (n, 4) with others (m, 4), (n, m); corners are x1, y1, x2, y2."""
    common, areas, other_areas = _common(boxes, others)
    return common / np.maximum(areas[:, None] + other_areas - common, 1e-12)


def _common(
    boxes: NDArray[np.float32], others: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the common area (n, m), and the areas of both, (n,) and (m,)."""
    one, other = boxes.astype(np.float64), others.astype(np.float64)
    low = np.maximum(one[:, None, :2], other[:, :2])
    high = np.minimum(one[:, None, 2:], other[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=-1)
    return common, *((part[:, 2:] - part[:, :2]).prod(axis=-1) for part in (one, other))


def matched(image: JudgedImage, *, background: int) -> list[tuple[int, int]]:
    """Pair the objects of an image with the boxes that a reader sees, those of a score of 0.3 or more.

    A box, the best score first, takes the free object that it overlaps most, at an IoU of 0.5 or more,
    whatever the class. Boxes that lie in an ignored object by half or more are left out.

    Args:
        image: The image.
        background: Stands for the class of an object that is not found, and of a box without object.

    Returns:
        The true and the found class of each pair.
    """
    real = image.truth[:, 5] == 0
    truth, ignored = image.truth[real], image.truth[~real]
    found = image.found[image.found[:, 1] >= DRAWN_SCORE]
    found = found[np.argsort(-found[:, 1], kind="stable")]
    iou = overlaps(found[:, 2:6], truth[:, 1:5])
    inside, areas, _ = _common(found[:, 2:6], ignored[:, 1:5])
    on_ignored: NDArray[np.bool_] = np.any(inside >= LEAST_IOU * areas[:, None], axis=1)
    free = np.ones(len(truth), bool)
    pairs: list[tuple[int, int]] = []
    for row, class_ in enumerate(found[:, 0].astype(int).tolist()):
        candidates = np.where(free, iou[row], -1.0)
        best = int(candidates.argmax()) if len(candidates) else -1
        if best >= 0 and candidates[best] >= LEAST_IOU:
            free[best] = False
            pairs.append((int(truth[best, 0]), class_))
        elif not on_ignored[row]:
            pairs.append((background, class_))
    return pairs + [(class_, background) for class_ in truth[free, 0].astype(int).tolist()]


def f1(pairs: Sequence[tuple[int, int]], *, background: int) -> float:
    """Return the F1 score of an image's pairs, 0..1: 1 if there is nothing, and nothing is found.

    >>> f1([(0, 0), (0, 2), (2, 1)], background=2)  # one found, one missed, one too many
    0.5
    """
    right = sum(true == found for true, found in pairs)
    objects = sum(true != background for true, _ in pairs)
    boxes = sum(found != background for _, found in pairs)
    return 2 * right / (objects + boxes) if pairs else 1.0
