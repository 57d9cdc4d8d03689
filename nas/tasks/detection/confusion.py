"""Which classes a detector confuses, and with the background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.tasks.detection.found_boxes import DRAWN_SCORE
from nas.tasks.detection.judged import LEAST_IOU
from nas.tasks.display import Matrix

BACKGROUND = "(background)"


def counted(pairs: Sequence[tuple[int, int]], classes: int) -> NDArray[np.int64]:
    """Count pairs of true and found class, (classes + 1, classes + 1); the last is the background.

    >>> counted([(0, 0), (1, 0), (2, 1)], 2).tolist()
    [[1, 0, 0], [1, 0, 0], [0, 1, 0]]
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    for pair in pairs:
        counts[pair] += 1
    return counts


def chart(counts: NDArray[np.int64], classes: Sequence[str]) -> Matrix:
    """Return the chart of a confusion matrix whose last row and column are the background's."""
    names = (*classes, BACKGROUND)
    return Matrix(
        title="Confusion",
        note=f"Boxes of a score of {DRAWN_SCORE:g} or more, matched with objects at an IoU of "
        f"{LEAST_IOU:g}, whatever the class. Rows: the object's class; columns: the box's. The last column "
        "counts missed objects, the last row boxes without an object.",
        unit="objects",
        rows=names,
        columns=names,
        counts=tuple(map(tuple, counts.tolist())),
    )
