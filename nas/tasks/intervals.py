"""95% intervals of what networks do on single images: of a proportion, and of a paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

Z95 = 1.96


def wilson(share: float, count: int, *, z: float = Z95) -> tuple[float, float]:
    """Return the 95% interval of a proportion `share` of `count` trials (Wilson 1927).

    >>> low, high = wilson(0.5, 100)
    >>> round(low, 3), round(high, 3)
    (0.404, 0.596)
    """
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = math.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) * z / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Difference:
    """A paired difference of two networks' metrics, in percentage points, with its 95% interval."""

    points: float
    low: float
    high: float

    @classmethod
    def mean(cls, differences: Sequence[Self]) -> Self:
        """Return the mean of differences on the same images.

        Its interval is the mean of theirs: other images would change all of them alike, so it does not
        become narrower.

        >>> Difference.mean([Difference(1.0, -1.0, 3.0), Difference(2.0, 1.0, 4.0)])
        Difference(points=1.5, low=0.0, high=3.5)
        """
        points, low, high = (
            fmean(getattr(one, field) for one in differences) for field in ("points", "low", "high")
        )
        return cls(points, low, high)

    @classmethod
    def of(cls, ours: Sequence[bool], theirs: Sequence[bool]) -> Self:
        """Compare which of the same images two networks answer correctly.

        Images that both get right or wrong say nothing about the difference (McNemar 1947).

        >>> difference = Difference.of([True] * 90 + [False] * 10, [True] * 80 + [False] * 20)
        >>> round(difference.points), round(difference.low, 1), round(difference.high, 1)
        (10, 4.1, 15.9)
        """
        images = len(ours)
        steps = [int(a) - int(b) for a, b in zip(ours, theirs, strict=True)]
        mean = sum(steps) / images
        variance = sum(step * step for step in steps) / images - mean**2
        half = Z95 * math.sqrt(variance / images)
        return cls(100 * mean, 100 * (mean - half), 100 * (mean + half))
