"""Annotated objects as one tensor a batch: (N, M, 6), a row an object.

A row is (class, x1, y1, x2, y2, ignored): the class index; the corners as fractions of the image's width
and height; and 1 for an object that counts neither as found nor as missed (Pascal VOC's `difficult`, COCO's
`iscrowd`). M is the largest number of objects in an image; rows of class -1 fill the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COLUMNS = 6
PADDING_CLASS = -1


def padded(objects: Sequence[NDArray[np.float32]], most: int | None = None) -> NDArray[np.float32]:
    """Stack the objects of images, each (m, 6), to (N, M, 6); M is `most`, or as many as there are.

    >>> padded([np.zeros((0, 6), np.float32), np.ones((2, 6), np.float32)])[:, :, 0]
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """
    if most is None:
        most = max((len(rows) for rows in objects), default=0)
    table = np.zeros((len(objects), most, COLUMNS), np.float32)
    table[:, :, 0] = PADDING_CLASS
    for index, rows in enumerate(objects):
        table[index, : len(rows)] = rows
    return table
