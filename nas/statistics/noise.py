"""Noise of accuracies: do a run's networks differ by more than chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import variance

from nas.engine.trial import Trial
from nas.formatting import ACCURACY, counted, metric_title


@dataclass(frozen=True)
class Noise:
    """Spread of proxy accuracies, in percentage points, and the part of it that is noise.

    Attributes:
        between_networks: Standard deviation over the run's distinct trials, noise included.
        between_seeds: Standard deviation of one network trained with different seeds.
        pairs: Number of networks trained twice, from which the noise is estimated.
    """

    between_networks: float
    between_seeds: float
    pairs: int

    @property
    def differ(self) -> bool:
        """Whether true differences exceed the noise: they are more than half of the variance."""
        return self.between_networks**2 > 2 * self.between_seeds**2

    @property
    def seeds_at_most(self) -> float:
        """Upper end of the 95% interval of the standard deviation between seeds, in points.

        >>> round(Noise(between_networks=2.0, between_seeds=1.0, pairs=2).seeds_at_most, 2)
        6.28
        """
        from scipy.stats import chi2  # a third of a second, and most commands need none of it

        return self.between_seeds * math.sqrt(self.pairs / float(chi2.ppf(0.025, self.pairs)))

    @property
    def margin(self) -> float:
        """How far two readings may differ by chance: two standard deviations of their difference.

        >>> round(Noise(between_networks=2.0, between_seeds=0.5, pairs=2).margin, 2)
        1.41
        """
        return 2 * math.sqrt(2) * self.between_seeds

    def figures(self, networks: str = "networks") -> str:
        """Return both standard deviations as text."""
        return (
            f"standard deviation {self.between_seeds:.1f} points between trainings of one network "
            f"({counted(self.pairs, 'pair')}), {self.between_networks:.1f} between {networks}"
        )

    def sentence(self, metric: str = ACCURACY) -> str:
        """Return the verdict as text.

        Args:
            metric: Name of the metric that was read.
        """
        figures = self.figures("the run's networks")
        if self.differ and self.between_networks > self.seeds_at_most:
            return f"The networks differ by more than the noise: {figures}."
        if self.differ:
            return (
                f"The networks seem to differ by more than the noise, which "
                f"{counted(self.pairs, 'pair')} cannot prove: {figures}."
            )
        return (
            f"The networks do not differ by more than the noise: {figures}. {metric_title(metric)} does "
            "not separate them, so choose the fastest of the best."
        )


def measure_noise(trials: Sequence[Trial], finals: Sequence[Trial]) -> Noise | None:
    """Estimate the noise of a run from trials that were trained twice; None if there are none.

    Two readings a and b of one network give the variance (a - b)^2 / 2.
    """
    first = {trial.index: trial.accuracy for trial in trials if trial.accuracy is not None}
    squares = [
        (100 * (again.accuracy - first[again.index])) ** 2 / 2
        for again in finals
        if again.kind == "repeat" and again.accuracy is not None and again.index in first
    ]
    distinct = {trial.fingerprint: trial.accuracy for trial in trials if trial.accuracy is not None}
    if not squares or len(distinct) < 2:
        return None
    spread = math.sqrt(variance(100 * accuracy for accuracy in distinct.values()))
    return Noise(spread, math.sqrt(sum(squares) / len(squares)), len(squares))


def pooled(noises: Sequence[Noise]) -> Noise:
    """Pool the noise of several similar runs, weighted by their pairs.

    >>> pooled([Noise(5.0, 1.0, pairs=3), Noise(5.0, 3.0, pairs=1)])
    Noise(between_networks=5.0, between_seeds=1.7320508075688772, pairs=4)
    """
    pairs = sum(noise.pairs for noise in noises)
    networks = sum(noise.pairs * noise.between_networks**2 for noise in noises) / pairs
    seeds = sum(noise.pairs * noise.between_seeds**2 for noise in noises) / pairs
    return Noise(math.sqrt(networks), math.sqrt(seeds), pairs)


def fastest_of_the_best(trials: Sequence[Trial], noise: Noise) -> Trial:
    """Return the fastest trial, over all devices, whose accuracy is within the noise margin of the best."""
    good = [trial for trial in trials if trial.accuracy is not None]
    best = max(trial.accuracy or 0.0 for trial in good)
    close = [trial for trial in good if (trial.accuracy or 0.0) >= best - noise.margin / 100]
    return min(close, key=lambda trial: (trial.overall_ms, trial.index))


def may_equal(trial: Trial, finals: Sequence[Trial], winner: Trial, noise: Noise) -> bool:
    """Return whether a trial's network may be as accurate as the winner, by its longer training if any.

    A rival that wins is no trial, so that only longer trainings compare with it.
    """
    longer = [one for one in finals if one.kind == "final" and one.ok and one.index == trial.index]
    if not longer:
        return winner.kind == "final"
    least = (winner.accuracy or 0.0) - noise.margin / 100
    return all((one.accuracy or 0.0) >= least for one in longer)


def faster_finalist(finals: Sequence[Trial], winner: Trial, noise: Noise) -> Trial | None:
    """Return the fastest finalist within the noise of the winner, or None if that is the winner itself.

    The noise is that of the shorter proxy trainings; longer ones usually have less.
    """
    good = [trial for trial in finals if trial.kind == "final" and trial.ok]
    no_better = [trial for trial in good if (trial.accuracy or 0.0) <= (winner.accuracy or 0.0)]
    fastest = fastest_of_the_best([winner, *no_better], noise)  # the winner may be a rival
    return fastest if fastest.overall_ms < winner.overall_ms else None


def beside_winner(fast: Trial, latencies: str, noise: Noise) -> str:
    """Describe the result of `faster_finalist`."""
    return (
        f"Finalist {fast.index} is faster, at {latencies}, and less accurate than the winner by no "
        f"more than two trainings of one network may differ ({noise.margin:.1f} points)."
    )
