"""Check whether trials trained long enough to compare networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from nas.formatting import ACCURACY, counted, over_images, percent
from nas.searching.results.estimates import distinct
from nas.searching.results.record import RunRecord
from nas.statistics.advice import Advice

FEW_STEPS = 30
"""Minimum number of training steps; with 22 steps the ranking was mostly luck."""

SURE = 0.975
"""Confidence for attributing the best accuracy to chance; see `Evidence.near_chance`."""


@dataclass(frozen=True)
class Evidence:
    """Training length and accuracies of trials.

    Attributes:
        steps: Training steps of a trial; None with a user's own evaluator.
        networks: Number of distinct trained networks.
        best: Their highest held-out accuracy, 0..1; None if there is none.
        chance: Accuracy of an untrained network, 0..1.
        held_out: Number of held-out images.
        metric: Name of the metric that accuracies are.
    """

    steps: int | None
    networks: int
    best: float | None
    chance: float
    held_out: int
    metric: str = ACCURACY

    def near_chance(self, noise: float = 0.0) -> bool:
        """Return whether the best accuracy may be that of networks that have learned nothing.

        All of n normal readings are below their quantile p^(1/n) with probability p. Only the error of a
        share of images is known without a second training.

        Args:
            noise: Standard deviation of one network's readings, in points.

        >>> evidence = Evidence(steps=100, networks=16, best=0.2, chance=1 / 6, held_out=300)
        >>> evidence.near_chance(), evidence.near_chance(noise=0.1)
        (True, True)
        >>> Evidence(steps=100, networks=16, best=0.54, chance=1 / 6, held_out=300).near_chance()
        False
        """
        if self.best is None:
            return False
        variance = self.chance * (1 - self.chance)
        counts = self.held_out > 0 and self.metric == ACCURACY
        binomial = math.sqrt(variance / self.held_out) if counts else 0.0
        errors = NormalDist().inv_cdf(SURE ** (1 / max(1, self.networks)))
        return self.best <= self.chance + errors * max(binomial, noise / 100)

    def too_early(self, noise: float = 0.0) -> str | None:
        """Return why trials should train longer before any other advice; None if they are long enough.

        Args:
            noise: As for `near_chance`.
        """
        mend = "recipe.epochs, recipe.min_steps or recipe.steps with --config"
        if self.steps is not None and self.steps < FEW_STEPS:
            return (
                f"Train longer before running more trials: {counted(self.steps, 'step')} per trial are too "
                f"few to rank networks ({mend})"
            )
        if self.near_chance(noise):
            read = "accuracy" if self.metric == ACCURACY else "result"
            return (
                f"Train longer before running more trials: the best held-out {read}, "
                f"{over_images(self.best or 0.0, self.metric)} {self.held_out:,} images, is not above "
                f"chance ({percent(self.chance)}) by more than the noise ({mend})"
            )
        return None


def evidence_of(run: RunRecord) -> Evidence:
    """Collect the evidence from a search."""
    data, training = run.metadata.data, run.metadata.training
    steps = None
    if training is not None and training.by_recipe:
        steps = training.recipe.total_steps(data.train)
    trained = distinct(run.trials)
    return Evidence(
        steps=steps,
        networks=len(trained),
        best=max((trial.accuracy or 0.0 for trial in trained), default=None),
        chance=(run.result and run.result.chance) or (0.0 if data.task else 1 / data.classes),
        held_out=data.val,
        metric=run.metric,
    )


def advice_after(run: RunRecord) -> str | None:
    """Advise on the next run in a sentence or two; None without evidence."""
    evidence = evidence_of(run)
    if run.noise is not None:
        reason = evidence.too_early(run.noise.between_seeds)
        return Advice.of(run.noise).after(evidence.networks, reason)
    reason = evidence.too_early()
    return f"{reason}." if reason else None
