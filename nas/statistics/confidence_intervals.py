"""Confidence intervals of means of a few trainings (Student's t) and of their differences (Welch's)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance


def mean_with_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and half of its 95% interval (Student's t), None for a single value."""
    if len(values) < 2:
        return fmean(values), None
    from scipy import stats

    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return fmean(values), quantile * math.sqrt(variance(values) / len(values))


def mean_in_words(accuracies: Sequence[float]) -> str:
    """Format the mean of accuracies, 0..1, in percent with half of its 95% interval.

    >>> mean_in_words([0.80, 0.81, 0.82]), mean_in_words([0.8])
    ('81.0% ± 2.5', '80.0%')
    """
    mean, half = mean_with_interval([100 * accuracy for accuracy in accuracies])
    return f"{mean:.1f}%" + ("" if half is None else f" ± {half:.1f}")


def difference_with_interval(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float | None]:
    """Return the difference of two means and half of its 95% interval (Welch 1947).

    The interval is None if either has a single value.

    >>> difference, half = difference_with_interval([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    >>> difference, round(half, 3)
    (2.0, 2.267)
    """
    difference = fmean(first) - fmean(second)
    if min(len(first), len(second)) < 2:
        return difference, None
    errors = [variance(values) / len(values) for values in (first, second)]  # squared, of the means
    if not sum(errors):
        return difference, 0.0
    from scipy import stats

    weights = zip(errors, (first, second), strict=True)
    freedom = sum(errors) ** 2 / sum(e**2 / (len(values) - 1) for e, values in weights)
    return difference, float(stats.t.ppf(0.975, freedom)) * math.sqrt(sum(errors))
