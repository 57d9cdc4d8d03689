"""Whether two means differ by more than chance: Student's t for a few trainings of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

_TABLE = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""97.5% quantiles of t for 1 to 10 degrees of freedom."""


def t975(freedom: float) -> float:
    """97.5% quantile of Student's t: half the width of a 95% interval, in standard errors.

    Up to 10 degrees of freedom a part of one counts nothing, which errs on the wide side. Above, an
    expansion about the normal quantile (Abramowitz and Stegun, 26.7.5).

    >>> t975(2), t975(2.9), round(t975(30), 3)
    (4.303, 4.303, 2.042)
    """
    if freedom < len(_TABLE) + 1:
        return _TABLE[max(1, int(freedom)) - 1]
    z = 1.959964
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def mean_with_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and half of its 95% interval; None in its place where there is one value."""
    if len(values) < 2:
        return fmean(values), None
    error = math.sqrt(variance(values) / len(values))
    return fmean(values), t975(len(values) - 1) * error


def difference_with_interval(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float | None]:
    """How much larger the first's mean is, and half of the 95% interval (Welch 1947).

    None in its place where one of the two has a single value.

    >>> difference, half = difference_with_interval([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    >>> difference, round(half, 3)
    (2.0, 2.267)
    """
    difference = fmean(first) - fmean(second)
    if min(len(first), len(second)) < 2:
        return difference, None
    squares = [variance(values) / len(values) for values in (first, second)]
    total = sum(squares)
    if total == 0:
        return difference, 0.0
    freedom = total**2 / sum(
        square**2 / (len(values) - 1)
        for square, values in zip(squares, (first, second), strict=True)
    )
    return difference, t975(freedom) * math.sqrt(total)
