"""Accuracies of networks that were trained with several seeds, and their paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from nas.statistics.confidence_intervals import mean_with_interval
from nas.tasks import intervals
from nas.tasks.task import Evidence

BySeed = Mapping[int, Evidence]
"""What a network did on the test images, by the seed of its training."""

MOST_SEEDS = 1000
"""More trainings than anybody will wait for."""


def accuracies(evidence: BySeed) -> list[float]:
    """Return the metric of each seed on the test images, in percent."""
    return [100 * evidence[seed].score().accuracy for seed in sorted(evidence)]


@dataclass(frozen=True)
class Difference:
    """A difference of metrics in percentage points, with two 95% intervals.

    Attributes:
        points: Mean over the seeds that both networks have.
        over_seeds: Half of Student's interval over the differences of the seeds: the randomness of training
            on these images. None for a single seed.
        low: Lower end of the interval over the test images: whether others would give the same result. The
            mean over seeds of the task's own interval, such as McNemar's or a bootstrap's.
        high: Its upper end.
        seeds: Number of seeds.
    """

    points: float
    over_seeds: float | None
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, ours: BySeed, theirs: BySeed) -> Self:
        """Compare two networks, each seed with the same seed, on the same test images.

        Raises:
            ValueError: They have no seed in common.
        """
        both = sorted(set(ours) & set(theirs))
        if not both:
            raise ValueError(f"no common seed: {sorted(ours)} and {sorted(theirs)}")
        apart = [ours[seed].minus(theirs[seed]) for seed in both]
        points, half = mean_with_interval([one.points for one in apart])
        images = intervals.Difference.mean(apart)
        return cls(points, half, images.low, images.high, len(both))

    @property
    def over_images(self) -> float:
        """Half of the interval over the test images."""
        return (self.high - self.low) / 2

    @property
    def by_chance(self) -> bool | None:
        """Whether chance may explain the difference; None for a single seed.

        Seeds and images are independent, so their deviations add up in squares.

        >>> [Difference(3.0, half, 1.0, 5.0, seeds=5).by_chance for half in (2.0, 2.5, None)]
        [False, True, None]
        """
        if self.over_seeds is None:
            return None
        towards_zero = self.points - self.low if self.points > 0 else self.high - self.points
        return abs(self.points) <= math.hypot(self.over_seeds, towards_zero)

    def settled_by(self, *, images: int) -> tuple[int, int] | None:
        """Return how many seeds and test images would show a difference of this size.

        Each interval must then be at most 1 / sqrt(2) of the difference. It narrows with the root of their
        number, and Student's quantile falls with the number of seeds. None if more than `MOST_SEEDS` seeds
        would be needed.

        Args:
            images: Number of test images.

        >>> Difference(1.0, 2.0, -1.0, 3.0, seeds=5).settled_by(images=100)
        (23, 800)
        """
        if self.over_seeds is None or self.points == 0:
            return None
        wanted = abs(self.points) / math.sqrt(2)
        deviation = self.over_seeds * math.sqrt(self.seeds) / _quantile(self.seeds)
        for seeds in range(self.seeds, MOST_SEEDS + 1):
            if _quantile(seeds) * deviation / math.sqrt(seeds) < wanted:
                wider = max(1.0, self.over_images / wanted)
                return seeds, math.ceil(round(images * wider**2, 6))
        return None


def _quantile(seeds: int) -> float:
    """Return the 97.5% quantile of Student's t for a mean over this number of seeds."""
    from scipy import stats  # half a second

    return float(stats.t.ppf(0.975, seeds - 1))
