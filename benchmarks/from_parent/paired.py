"""Accuracies of networks that were trained with several seeds, and their paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.from_parent.trainings import Answers
from nas.statistics.confidence_intervals import mean_with_interval

Z95 = 1.96

BySeed = Mapping[int, Answers]
"""Whether each test image is classified correctly, (images,), by the seed of the training."""


def accuracies(answers: BySeed) -> list[float]:
    """Return the test accuracy of each seed, in percent.

    >>> accuracies({0: np.array([True, False]), 1: np.array([True, True])})
    [50.0, 100.0]
    """
    return [100 * float(answers[seed].mean()) for seed in sorted(answers)]


@dataclass(frozen=True)
class Difference:
    """A difference of test accuracies in percentage points, with half of two 95% intervals.

    Attributes:
        points: Mean over the seeds that both networks have.
        over_seeds: Student's t over the differences of the seeds: the randomness of training on these
            images. None for a single seed.
        over_images: Of the mean over seeds, over the test images: whether other images would give the same
            result. McNemar's paired interval for a single seed.
        seeds: Number of seeds.
    """

    points: float
    over_seeds: float | None
    over_images: float
    seeds: int

    @classmethod
    def of(cls, ours: BySeed, theirs: BySeed) -> Self:
        """Compare two networks, each seed with the same seed, on the same test images.

        >>> yes, no = np.array([True]), np.array([False])
        >>> apart = Difference.of({0: yes, 1: yes, 2: no}, {0: no, 1: yes, 7: yes})
        >>> apart.points, round(apart.over_seeds), apart.seeds
        (50.0, 635, 2)

        Raises:
            ValueError: They have no seed in common.
        """
        both = sorted(set(ours) & set(theirs))
        if not both:
            raise ValueError(f"no common seed: {sorted(ours)} and {sorted(theirs)}")
        steps = np.array(
            [ours[seed].astype(float) - theirs[seed].astype(float) for seed in both]
        )  # (seeds, images)
        points, half = mean_with_interval([100 * float(mean) for mean in steps.mean(axis=1)])
        images = 100 * steps.mean(axis=0)  # (images,)
        return cls(points, half, Z95 * float(images.std()) / math.sqrt(len(images)), len(both))
