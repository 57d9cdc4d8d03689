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


def interval95(
    figures: NDArray[np.float64], *, around: float, least: float = 0.0
) -> tuple[float, float]:
    """Return the middle 95% of the resamples' figures, moved so that their mean is that of all images.

    Resamples repeat images, which raises AP by some points on a few dozen images: unmoved, the interval
    would lie above its figure.

    >>> figures = np.linspace(0.3, 0.7, 101)
    >>> [round(end, 2) for end in interval95(figures, around=0.45)]
    [0.26, 0.64]

    Args:
        figures: Of the resamples.
        around: The figure of all images.
        least: The lowest that a figure can be, -1 for differences; the highest is 1.
    """
    low, high = (around + np.percentile(figures - figures.mean(), [2.5, 97.5])).tolist()
    return max(low, least), min(high, 1.0)
