"""95% intervals of figures that are no mean over images, by the bootstrap (Efron 1979)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS, SEED = 1000, 0


def resamples(count: int) -> NDArray[np.int64]:
    """Return how often each of `count` images is in each resample of as many, (DRAWS, count).

    They are alike for all networks, so that differences on the same images are paired.
    """
    rng = np.random.default_rng(SEED)
    return rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)


def interval95(figures: NDArray[np.float64], *, around: float) -> tuple[float, float]:
    """Return the middle 95% of the resamples' figures, widened to the figure of all images.

    A figure of few images may lie outside, because resamples lack some of them.

    >>> interval95(np.arange(101.0), around=50), interval95(np.arange(101.0), around=99)
    ((2.5, 97.5), (2.5, 99))
    """
    low, high = np.percentile(figures, [2.5, 97.5]).tolist()
    return min(low, around), max(high, around)
