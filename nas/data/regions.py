"""What is annotated in one image, whatever is learned of it: classes, and how much of it they cover."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_CLASS = -1


class Regions(NamedTuple):
    """The parts of an image that have a class: the whole, objects, or the pixels of each class in it.

    Attributes:
        classes: Class indices, int64 (m,); -1 for pixels that are ignored.
        shares: Fraction of the image that each covers, float64 (m,).
        ignored: Whether each counts for nothing, bool (m,).
    """

    classes: NDArray[np.int64]
    shares: NDArray[np.float64]
    ignored: NDArray[np.bool_]

    def counted(self) -> NDArray[np.int64]:
        """Return the classes of the parts that count, (n,)."""
        return self.classes[~self.ignored]
