"""Multi-fidelity: train all candidates for a fraction of the steps, then the better ones in full.

Successive halving (Jamieson & Talwalkar 2016, algorithm 1) with one rung, within each batch. ASHA (Li et
al. 2020), as in Ray Tune, promotes a trial by comparing it with those finished before, so its choice
depends on the speed of the workers. Here all short trainings of a batch finish before any candidate is
promoted, so the choice is a function of seed and log.

The short training, of kind `rung`, is separate: it has its own one-cycle schedule, whose rate has decayed
when the accuracy is measured, and its own seed, so that its luck is not repeated. The full training starts
from scratch, as it would without multi-fidelity, and full trainings are compared only with each other. A
promoted candidate therefore repeats the steps of its short training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, linear_regression
from typing import Protocol

from latency import Latency
from nas.engine.job import Job, Kind
from nas.engine.trial import Trial
from nas.searching.config import FidelityConfig
from nas.training.recipe import Recipe
from search_spaces import InputError, Tokens

LEAST_STEPS = 50
"""Minimum steps of a short training: after 40, noise dominated the ranking (benchmarks/RESULTS.md)."""

LEAST_PAIRS = 8
"""Minimum number of networks with both accuracies to fit a line; until then more are promoted."""


@dataclass(frozen=True)
class Line:
    """Full accuracy as a linear function of the accuracy after the short training.

    >>> Line(slope=0.5, intercept=0.4).at(0.8)
    0.8
    """

    slope: float = 1.0
    intercept: float = 0.0

    def at(self, first: float) -> float:
        """Return the expected accuracy of a full training, 0..1."""
        return min(1.0, max(0.0, self.intercept + self.slope * first))

    @classmethod
    def through(cls, pairs: Sequence[tuple[float, float]]) -> Line:
        """Fit full to first accuracy by least squares; use the mean difference for few or equal pairs.

        Candidates are promoted by the first accuracy (and the latency), not by the full one. So this
        regression is not biased by the selection; that of first on full accuracy would be.

        >>> Line.through([(0.5, 0.75), (0.25, 0.5)])
        Line(slope=1.0, intercept=0.25)
        """
        first, full = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if len(pairs) < LEAST_PAIRS or min(first) == max(first):
            return cls(intercept=fmean(full) - fmean(first) if pairs else 0.0)
        slope, intercept = linear_regression(first, full)
        # A falling line would reward a low first accuracy.
        return cls(slope, intercept) if slope >= 0 else cls(0.0, fmean(full))


class MakeJob(Protocol):
    """Creates the job of a candidate."""

    def __call__(
        self, kind: Kind, index: int, tokens: Tokens, latencies: tuple[Latency, ...] = ()
    ) -> Job:
        """Create a job; without latencies, the network is measured first."""
        ...


Asked = Sequence[tuple[int, Tokens]]
"""Index and tokens of each candidate."""

Reward = Callable[[float, Sequence[float]], float]
"""A function of (accuracy in 0..1, latency in ms on each device)."""

Trained = Generator[list[Job], list[Trial], list[Trial]]
"""Part of a plan: yields jobs, is sent their trials, returns each candidate's longest training."""


class Fidelity(Protocol):
    """Decides how long the candidates of a batch train, and how to reward them.

    Attributes:
        has_rungs: Whether candidates first train for a fraction of the steps.
    """

    has_rungs: bool

    def train(self, asked: Asked, make: MakeJob) -> Trained:
        """Train a batch of candidates; return their trials in the order asked."""
        ...

    def reward(self, trial: Trial, reward: Reward) -> float:
        """Return the reward of a trial for the controller."""
        ...


class FullLength:
    """Trains every candidate in full."""

    has_rungs = False

    def train(self, asked: Asked, make: MakeJob) -> Trained:
        """See `Fidelity`."""
        return (yield [make("search", index, tokens) for index, tokens in asked])

    def reward(self, trial: Trial, reward: Reward) -> float:  # noqa: ARG002
        """See `Fidelity`."""
        return trial.reward


class Halving:
    """Trains all candidates of a batch for a fraction of the steps, then the better ones in full.

    Its state depends only on the trials it was given, so replaying the log restores it.

    Args:
        keep: Fraction of a batch's candidates to train in full.
    """

    has_rungs = True

    def __init__(self, keep: float) -> None:
        self.keep = keep
        self._first: dict[str, float] = {}
        self._full: dict[str, float] = {}

    def train(self, asked: Asked, make: MakeJob) -> Trained:
        """See `Fidelity`."""
        rungs = yield [make("rung", index, tokens) for index, tokens in asked]
        self.learn(rungs)
        on = self.promoted(rungs)
        full = yield [make("search", rung.index, rung.tokens, rung.latencies) for rung in on]
        self.learn(full)
        longest = {trial.index: trial for trial in [*rungs, *full]}
        return list(longest.values())

    def reward(self, trial: Trial, reward: Reward) -> float:
        """Return the trial's reward; for a short training, that of the expected full accuracy."""
        if trial.kind != "rung" or not trial.ok:
            return trial.reward
        return reward(self.line.at(trial.accuracy or 0.0), trial.latencies_ms)

    def learn(self, trials: Iterable[Trial]) -> None:
        """Record accuracies of both lengths; the first of each network counts."""
        for trial in trials:
            if not trial.ok:
                continue
            known = self._first if trial.kind == "rung" else self._full
            known.setdefault(trial.fingerprint, trial.accuracy or 0.0)

    @property
    def line(self) -> Line:
        """The line fitted to all networks so far with both accuracies."""
        both = [name for name in self._full if name in self._first]
        return Line.through([(self._first[name], self._full[name]) for name in both])

    def promoted(self, rungs: Sequence[Trial]) -> list[Trial]:
        """Return the candidates to train in full, in the order asked: those with the highest rewards.

        Networks that have already trained in full are promoted as well, as their results are reused.
        """
        best: dict[str, Trial] = {}
        for rung in sorted(rungs, key=lambda t: (-t.reward, t.index)):
            if rung.ok and rung.fingerprint not in self._full:
                best.setdefault(rung.fingerprint, rung)
        count = _promotions(len(best), keep=self.keep, pairs=len(self._full))
        on = {*islice(best, count), *self._full}
        return [rung for rung in rungs if rung.ok and rung.fingerprint in on]


def _promotions(candidates: int, *, keep: float, pairs: int) -> int:
    """Return how many of a batch's new candidates to promote if `pairs` have trained in full before.

    >>> [_promotions(10, keep=0.5, pairs=pairs) for pairs in (0, 2, 4)]
    [8, 6, 5]
    """
    part = math.ceil(keep * candidates - 1e-9)  # 0.55 * 20 is 11.000000000000002
    return min(candidates, max(part, LEAST_PAIRS - pairs))


def first_recipe(recipe: Recipe, fidelity: FidelityConfig, *, train_images: int) -> Recipe:
    """Return the recipe of the short training, with at least `LEAST_STEPS` steps.

    Raises:
        InputError: It is no shorter than the full training.

    >>> first_recipe(Recipe(steps=400), FidelityConfig(first=0.25), train_images=1000).steps
    100
    """
    if fidelity.first == 0:
        raise InputError(
            "fidelity.first is 0, which only looks at inherited weights: give more, or a parent"
        )
    full = recipe.total_steps(train_images)
    steps = max(round(fidelity.first * full), LEAST_STEPS)
    if steps >= full:
        smaller = "" if full <= LEAST_STEPS else ", give a smaller fidelity.first"
        length = "recipe.epochs" if recipe.epochs else "recipe.steps"
        raise InputError(
            f"fidelity: the short training would take {steps} of {full} steps (at least {LEAST_STEPS}): "
            f"train longer ({length}){smaller}, or leave fidelity out"
        )
    return recipe.of_steps(steps)


def as_it_trains(fidelity: FidelityConfig, recipe: Recipe, *, train_images: int) -> FidelityConfig:
    """Raise the fraction of the short training if `LEAST_STEPS` makes it longer.

    Raises:
        InputError: See `first_recipe`.

    >>> as_it_trains(FidelityConfig(first=0.1), Recipe(steps=200), train_images=1000).first
    0.25
    """
    if fidelity.first == 0:
        return fidelity
    steps = first_recipe(recipe, fidelity, train_images=train_images).total_steps(train_images)
    if steps > LEAST_STEPS:
        return fidelity
    return fidelity.model_copy(update={"first": steps / recipe.total_steps(train_images)})


def full_lengths(fidelity: FidelityConfig | None, trials: int, *, batch_size: int) -> float:
    """Return the cost of all candidates, without finals, in full trainings.

    >>> full_lengths(None, 100, batch_size=10)
    100
    >>> full_lengths(FidelityConfig(first=0.25, keep=0.5), 100, batch_size=10)  # 100 short ones, 8 + 9 * 5
    78.0
    """
    if fidelity is None:
        return trials
    full = 0
    for begun in range(0, trials, batch_size):
        size = min(batch_size, trials - begun)
        full += _promotions(size, keep=fidelity.keep, pairs=full)
    return fidelity.first * trials + full


def candidates_worth(fidelity: FidelityConfig | None, trained: Sequence[Trial]) -> float:
    """Return the number of candidates equivalent to these trainings, by their work.

    So the time per candidate is also known from half a batch, and from early ones that promote more.
    """
    if fidelity is None:
        return len(trained)
    work = sum(fidelity.first if trial.kind == "rung" else 1.0 for trial in trained)
    return work / (fidelity.first + fidelity.keep)
