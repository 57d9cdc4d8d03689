"""How many trials are worth running, given the noise: the expected gain from the best of n readings.

A trial measures a network's accuracy with noise. Let true accuracies of networks be normal with standard
deviation s, and readings of one network with standard deviation e. Of n networks drawn at random, the one
with the best reading has an expected true accuracy of

    s * sqrt(r) * E(n)    with    r = s^2 / (s^2 + e^2)

above the mean. E(n) is the expected maximum of n standard normal draws (Blom 1958, chapter 6), r the
reliability of a reading. The reading itself lies 1/r times as far above the mean; the excess is
regression to the mean (Galton 1886). More trials raise E(n) only as the square root of log n; less noise
raises r.

A controller that learns does better than random draws, and finalists are measured again, so these are lower
bounds of what a search finds.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from nas.formatting import counted
from nas.statistics.noise import Noise

WORTH = 0.25
"""Fraction of the noise that twice as many trials must gain to be worth running."""

RESOLVED = 0.1
"""Percentage points; a smaller gain does not matter, however low the noise."""

MOST_TRIALS = 10_000
"""Upper limit of any advice."""

LEAST_PAIRS = 4
"""Minimum number of networks trained twice for advice on the number of trials. A standard deviation from
three pairs may be too low by a factor of 3.7, and the number of trials depends on a high power of it."""

INTERVAL = {1: (0.446, 31.9), 2: (0.521, 6.28), 3: (0.566, 3.73)}
"""By number of pairs: ends of the 95% interval of a standard deviation, relative to the estimate. They are
sqrt(n / chi2), at the quantiles 0.975 and 0.025 of the chi-squared distribution of n degrees of freedom."""


def expected_best(trials: int) -> float:
    """Return the expected maximum of standard normal draws, by Blom's approximation.

    Its error is below 0.03, and below 0.01 for five draws or more.

    >>> [round(expected_best(trials), 2) for trials in (1, 10, 100, 1000)]
    [0.0, 1.55, 2.5, 3.23]

    Raises:
        ValueError: `trials` is below 1.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    return NormalDist().inv_cdf((trials - 0.375) / (trials + 0.25))


def reading_error(images: int) -> float:
    """Return the maximum standard error, in points, of an accuracy measured on this many images.

    It is binomial, at an accuracy of 50%. Two networks evaluated on the same images share part of it.

    >>> [round(reading_error(images), 1) for images in (296, 2500)]
    [2.9, 1.0]
    """
    return 50.0 / math.sqrt(images)


@dataclass(frozen=True)
class Advice:
    """What further trials are worth, in percentage points of accuracy.

    Attributes:
        noise: Standard deviation of one network's readings.
        spread: Standard deviation of the networks' true accuracies, without noise.
        pairs: Number of networks trained twice, from which the noise is estimated.
    """

    noise: float
    spread: float
    pairs: int

    @classmethod
    def of(cls, noise: Noise) -> Advice:
        """Separate true spread from noise in the readings of a run.

        >>> Advice.of(Noise(between_networks=5.0, between_seeds=3.0, pairs=4)).spread
        4.0
        """
        own = noise.between_networks**2 - noise.between_seeds**2
        return cls(noise.between_seeds, math.sqrt(max(0.0, own)), noise.pairs)

    @property
    def reliability(self) -> float:
        """Fraction of the readings' variance that is true difference between networks, 0..1."""
        own = self.spread**2
        return own / (own + self.noise**2) if own > 0 else 0.0

    def found(self, trials: int) -> float:
        """Return how far above the mean the best-reading of `trials` networks is expected to be.

        >>> Advice(noise=1.0, spread=1.0, pairs=4).found(100)
        1.76...
        """
        return self.spread * math.sqrt(self.reliability) * expected_best(trials)

    def gain(self, trials: int, further: int) -> float:
        """Return what further trials are expected to add to that."""
        return self.found(trials + further) - self.found(trials)

    @property
    def enough(self) -> int:
        """Number of trials beyond which doubling them gains too little to notice.

        That is a quarter of the noise, or a tenth of a point if there is hardly any.

        >>> [Advice(noise=noise, spread=1.5, pairs=4).enough for noise in (0.5, 1.0, 2.0)]
        [10000, 622, 2]
        """
        return _first(lambda trials: self.gain(trials, trials) < self._least_gain)

    @property
    def turn(self) -> int:
        """Number of trials beyond which training each twice gains more than doubling the trials.

        Both cost the same; the mean of two readings has half the variance. Below this number a search
        lacks networks, above it precision.

        >>> [Advice(noise=noise, spread=1.5, pairs=4).turn for noise in (0.5, 1.0, 2.0)]
        [10000, 142, 10]
        """
        if self.spread == 0:
            return 1
        twice = Advice(self.noise / math.sqrt(2), self.spread, self.pairs)
        return _first(lambda trials: twice.found(trials) > self.found(2 * trials))

    @property
    def few_pairs(self) -> bool:
        """Whether the noise estimate is too uncertain for advice."""
        return self.pairs < LEAST_PAIRS

    def before(self, trials: int, too_early: str | None = None) -> str:
        """Return what to expect of a planned search.

        Args:
            trials: Planned number.
            too_early: Why trials must train longer first (`nas.searching.planning.evidence`).
        """
        if too_early:
            return too_early
        if self.few_pairs:
            return self._unknown()
        return f"{self._expected(trials)}. {self._verdict(trials)}"

    def after(self, trials: int, too_early: str | None = None) -> str:
        """Return whether the trials of a finished run were worth it; see `before`."""
        if too_early:
            return f"{too_early}."
        if self.few_pairs:
            return f"{self._unknown()}."
        return f"Given this noise, {self._expected(trials)}. {self._verdict(trials)}."

    def to_dict(self, trials: int, too_early: str | None = None) -> dict[str, Any]:
        """Return plain data, without numbers of trials if there is no advice."""
        known = not (too_early or self.few_pairs)
        return {
            "noise_points": round(self.noise, 3),
            "spread_points": round(self.spread, 3),
            "pairs": self.pairs,
            "reliability": round(self.reliability, 3),
            "expected_points": round(self.found(trials), 3) if known else None,
            "gain_of_doubling_points": round(self.gain(trials, trials), 3) if known else None,
            "enough_trials": self.enough if known else None,
            "turn_trials": self.turn if known else None,
            "train_longer": too_early,
        }

    @property
    def _least_gain(self) -> float:
        return max(WORTH * self.noise, RESOLVED)

    def _unknown(self) -> str:
        """Say how uncertain the noise estimate is."""
        low, high = (self.noise * part for part in INTERVAL[self.pairs])
        return (
            f"No advice on the number of trials: the noise, {self.noise:.1f} points, is estimated "
            f"from only {counted(self.pairs, 'pair')} (95% interval {low:.1f} to {high:.1f}): "
            f"train at least {LEAST_PAIRS} networks twice (finals.repeats with --config)"
        )

    def _expected(self, trials: int) -> str:
        gain = self.gain(trials, trials)
        little = ""
        if gain < self._least_gain:
            noisy = WORTH * self.noise > RESOLVED
            little = ", less than a quarter of the noise" if noisy else ", too little to notice"
        return (
            f"the best of {counted(trials, 'trial')} is expected to be {self.found(trials):.1f} "
            f"points above the mean network; {trials:,} more would add {gain:.1f}{little}"
        )

    def _verdict(self, trials: int) -> str:
        known = f"from {counted(self.pairs, 'pair')}"
        if self.spread == 0:
            return (
                f"The noise ({known}) hides the differences between networks: train longer "
                "(recipe.min_steps, or recipe.epochs) before running more trials"
            )
        if self.turn == MOST_TRIALS:
            return f"The noise ({known}) allows this many trials"
        about = f"about {float(f'{self.turn:.2g}'):,.0f} trials"
        if trials < self.turn:
            return f"Up to {about}, more trials are the best use of time (noise {known})"
        return (
            f"Beyond {about}, less noise (a second seed, or longer trials) gains more than more trials "
            f"(noise {known})"
        )


def _first(true: Callable[[int], bool]) -> int:
    """Return the smallest number of trials from which `true` holds; at most `MOST_TRIALS`."""
    return bisect_left(range(1, MOST_TRIALS), True, key=true) + 1
