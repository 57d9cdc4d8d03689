"""How many trials are worth running, given the noise: what to expect of the best of many readings.

A trial reads a network's accuracy with noise. Let networks' own accuracies have the standard deviation s,
and one network's readings the standard deviation e, both normal. Of n networks drawn at random the one that
reads best has an accuracy of its own that lies

    s * sqrt(r) * E(n)    with    r = s^2 / (s^2 + e^2)

above the mean: E(n) is the expected maximum of n standard normal draws (Blom 1958, chapter 6), r the
reliability of a reading. The reading itself lies 1/r times as far above it; the rest is regression to the
mean (Galton 1886). Trials raise E(n), with the root of the logarithm of n alone; less noise raises r.

A controller that learns draws better networks than chance does, and finalists are read again: what is told
here is what a search finds at least.
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
"""Parts of the noise that twice as many trials must gain to be called worth it."""

RESOLVED = 0.1
"""Points; a smaller gain is not one that anybody sees, however little noise there is."""

MOST_TRIALS = 10_000
"""No search is advised to be longer."""

LEAST_PAIRS = 4
"""Networks trained twice below which no number of trials is told. A standard deviation known from three
pairs may be 3.7 times as large, and the number of trials goes with a high power of it."""

INTERVAL = {1: (0.446, 31.9), 2: (0.521, 6.28), 3: (0.566, 3.73)}
"""By number of pairs: ends of the 95% interval of a standard deviation, as parts of the estimate. They are
sqrt(n / chi2), at the quantiles 0.975 and 0.025 of the chi-squared distribution of n degrees of freedom."""


def expected_best(trials: int) -> float:
    """The expected maximum of so many standard normal draws, by Blom's approximation.

    Its error is below 0.03, and below 0.01 from five draws on.

    >>> [round(expected_best(trials), 2) for trials in (1, 10, 100, 1000)]
    [0.0, 1.55, 2.5, 3.23]

    Raises:
        ValueError: There is no trial.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    return NormalDist().inv_cdf((trials - 0.375) / (trials + 0.25))


def reading_error(images: int) -> float:
    """Standard error in points of an accuracy that is read on so many images, at most.

    It is the binomial's at 50%. Two networks read on the same images have a part of it in common.

    >>> [round(reading_error(images), 1) for images in (296, 2500)]
    [2.9, 1.0]
    """
    return 50.0 / math.sqrt(images)


@dataclass(frozen=True)
class Advice:
    """What trials are worth, in points (hundredths) of accuracy.

    Attributes:
        noise: Standard deviation of one network's readings.
        spread: Standard deviation of the networks' own accuracies, noise left out.
        pairs: Networks trained twice that the noise is known from.
    """

    noise: float
    spread: float
    pairs: int

    @classmethod
    def of(cls, noise: Noise) -> Advice:
        """From the spread of a run's readings, of which a part is noise.

        >>> Advice.of(Noise(between_networks=5.0, between_seeds=3.0, pairs=4)).spread
        4.0
        """
        own = noise.between_networks**2 - noise.between_seeds**2
        return cls(noise.between_seeds, math.sqrt(max(0.0, own)), noise.pairs)

    @property
    def reliability(self) -> float:
        """Part of the readings' variance that is the networks' own, 0..1."""
        own = self.spread**2
        return own / (own + self.noise**2) if own > 0 else 0.0

    def found(self, trials: int) -> float:
        """How far above the mean network the one that reads best of so many is expected to be.

        >>> Advice(noise=1.0, spread=1.0, pairs=4).found(100)
        1.76...
        """
        return self.spread * math.sqrt(self.reliability) * expected_best(trials)

    def gain(self, trials: int, further: int) -> float:
        """What so many further trials are expected to add to it."""
        return self.found(trials + further) - self.found(trials)

    @property
    def enough(self) -> int:
        """The number of trials beyond which twice as many gain less than can be told.

        That is a quarter of the noise, and a tenth of a point where there is hardly any.

        >>> [Advice(noise=noise, spread=1.5, pairs=4).enough for noise in (0.5, 1.0, 2.0)]
        [10000, 622, 2]
        """
        return _first(lambda trials: self.gain(trials, trials) < self._least_gain)

    @property
    def turn(self) -> int:
        """The number of trials beyond which training each twice gains more than twice as many trials.

        Both cost the same; the mean of two readings has half the noise's variance. Before that number
        a search lacks networks, after it certainty.

        >>> [Advice(noise=noise, spread=1.5, pairs=4).turn for noise in (0.5, 1.0, 2.0)]
        [10000, 142, 10]
        """
        if self.spread == 0:
            return 1
        twice = Advice(self.noise / math.sqrt(2), self.spread, self.pairs)
        return _first(lambda trials: twice.found(trials) > self.found(2 * trials))

    @property
    def few_pairs(self) -> bool:
        """Whether the noise is known too badly to tell a number of trials."""
        return self.pairs < LEAST_PAIRS

    def before(self, trials: int, too_early: str | None = None) -> str:
        """What to expect of a search of so many trials, for the plan.

        Args:
            trials: Planned.
            too_early: Why trials must train longer first (`nas.searching.planning.evidence`).
        """
        if too_early:
            return too_early
        if self.few_pairs:
            return self._unknown()
        return f"{self._expected(trials)}. {self._verdict(trials)}"

    def after(self, trials: int, too_early: str | None = None) -> str:
        """Whether the trials of a run that has ended were worth it, for its conclusion; see `before`."""
        if too_early:
            return f"{too_early}."
        if self.few_pairs:
            return f"{self._unknown()}."
        return f"Given this noise {self._expected(trials)}. {self._verdict(trials)}."

    def to_dict(self, trials: int, too_early: str | None = None) -> dict[str, Any]:
        """Plain data, of a search of so many trials; no numbers of trials where none can be told."""
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
        """That the noise is not known well enough, and how well it is."""
        low, high = (self.noise * part for part in INTERVAL[self.pairs])
        return (
            f"How many trials are worth it is not known: the noise, {self.noise:.1f} points, comes from "
            f"{counted(self.pairs, 'pair')} only (95% interval {low:.1f} to {high:.1f}): train at least "
            f"{LEAST_PAIRS} networks twice (finals.repeats with --config)"
        )

    def _expected(self, trials: int) -> str:
        gain = self.gain(trials, trials)
        little = ""
        if gain < self._least_gain:
            noisy = WORTH * self.noise > RESOLVED
            little = ", less than a quarter of the noise" if noisy else ", less than can be told"
        return (
            f"the best of {counted(trials, 'trial')} is expected {self.found(trials):.1f} points above the "
            f"mean network, {trials:,} more would add {gain:.1f}{little}"
        )

    def _verdict(self, trials: int) -> str:
        known = f"known by {counted(self.pairs, 'pair')}"
        if self.spread == 0:
            return (
                f"The noise ({known}) hides what differs between networks: train longer (recipe.min_steps, "
                "or recipe.epochs) before running more trials"
            )
        if self.turn == MOST_TRIALS:
            return f"The noise ({known}) is no reason to run fewer"
        about = f"about {float(f'{self.turn:.2g}'):,.0f} trials"
        if trials < self.turn:
            return f"Up to {about}, more of them are the best use of time (noise {known})"
        return (
            f"From {about} on less noise (a second seed, or longer trials) gains more than more trials "
            f"(noise {known})"
        )


def _first(true: Callable[[int], bool]) -> int:
    """The first number of trials for which something becomes true, and stays so; at most `MOST_TRIALS`."""
    return bisect_left(range(1, MOST_TRIALS), True, key=true) + 1
