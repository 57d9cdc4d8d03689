"""Accuracies of networks that were trained with several seeds, and their paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from nas.statistics.confidence_intervals import mean_with_interval
from nas.tasks import intervals
from nas.tasks.task import Evidence

BySeed = Mapping[int, Evidence]
"""What a network did on the test images, by the seed of its training."""


def accuracies(evidence: BySeed) -> list[float]:
    """Return the metric of each seed on the test images, in percent."""
    return [100 * evidence[seed].score().accuracy for seed in sorted(evidence)]


@dataclass(frozen=True)
class Difference:
    """A difference of metrics in percentage points, with half of two 95% intervals.

    Attributes:
        points: Mean over the seeds that both networks have.
        over_seeds: Student's t over the differences of the seeds: the randomness of training on these
            images. None for a single seed.
        over_images: Over the test images: whether others would give the same result. The mean over seeds of
            the task's own interval, such as McNemar's or a bootstrap's.
        seeds: Number of seeds.
    """

    points: float
    over_seeds: float | None
    over_images: float
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
        middle = intervals.Difference.mean(apart)
        return cls(points, half, (middle.high - middle.low) / 2, len(both))
