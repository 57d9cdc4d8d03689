"""Multi-fidelity: all candidates train for a first part of the length, the better ones then in full.

Successive halving (Jamieson & Talwalkar 2016, algorithm 1) of one rung, within each batch. ASHA (Li et
al. 2020), which Ray Tune has, lets a trial go on by those that have ended before it: what it keeps depends
on which worker was faster. Here a batch's first parts all end before any candidate goes on, so who does is
a function of seed and log.

The first part is a training of its own, of kind `rung`: with its own one-cycle rate, which has fallen to
nothing where the accuracy is read, and its own seed, so that what was lucky in it is not lucky again. The
full training begins anew. It is the one that the candidate would have without multi-fidelity, and full
trainings are compared with each other alone. That costs the first part twice, for those that go on.
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
"""Of a first part: after forty, chance ranked networks more than merit did (benchmarks/RESULTS.md)."""

LEAST_PAIRS = 8
"""Networks with both accuracies from which on a line is fitted; until then more candidates go on."""


@dataclass(frozen=True)
class Line:
    """Full accuracy over first accuracy.

    >>> Line(slope=0.5, intercept=0.4).at(0.8)
    0.8
    """

    slope: float = 1.0
    intercept: float = 0.0

    def at(self, first: float) -> float:
        """The accuracy expected at full length, 0..1."""
        return min(1.0, max(0.0, self.intercept + self.slope * first))

    @classmethod
    def through(cls, pairs: Sequence[tuple[float, float]]) -> Line:
        """Least squares of full on first accuracy; of few pairs, or equal ones, their mean difference.

        Who goes on is chosen by the first accuracy (and the latency), not by the full one. So the full
        accuracies at a given first one are a fair sample, and this regression is not biased by the choice;
        that of first on full would be.

        >>> Line.through([(0.5, 0.75), (0.25, 0.5)])
        Line(slope=1.0, intercept=0.25)
        """
        first, full = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if len(pairs) < LEAST_PAIRS or min(first) == max(first):
            return cls(intercept=fmean(full) - fmean(first) if pairs else 0.0)
        slope, intercept = linear_regression(first, full)
        # A falling line would tell the controller that the worse a network begins the better it is.
        return cls(slope, intercept) if slope >= 0 else cls(0.0, fmean(full))


class MakeJob(Protocol):
    """Makes the job of a candidate."""

    def __call__(
        self, kind: Kind, index: int, tokens: Tokens, latencies: tuple[Latency, ...] = ()
    ) -> Job:
        """Of a kind of training; it is measured first where no latencies are given."""
        ...


Asked = Sequence[tuple[int, Tokens]]
"""Candidates: index and tokens."""

Reward = Callable[[float, Sequence[float]], float]
"""Of (accuracy in 0..1, latency in ms on each device)."""

Trained = Generator[list[Job], list[Trial], list[Trial]]
"""A part of a plan: yields jobs, is sent their trials, returns the longest training of each candidate."""


class Fidelity(Protocol):
    """For how long each candidate of a batch trains, and what that is worth."""

    def train(self, asked: Asked, make: MakeJob) -> Trained:
        """Train a batch of candidates; returns their trials in the order asked."""
        ...

    def reward(self, trial: Trial, reward: Reward) -> float:
        """What the controller learns of a trial."""
        ...


class FullLength:
    """Every candidate trains in full."""

    def train(self, asked: Asked, make: MakeJob) -> Trained:
        """See `Fidelity`."""
        return (yield [make("search", index, tokens) for index, tokens in asked])

    def reward(self, trial: Trial, reward: Reward) -> float:  # noqa: ARG002
        """See `Fidelity`."""
        return trial.reward


class Halving:
    """Trains a batch of candidates for a first part, then the better ones in full.

    It decides from the trials it was given, batch by batch: a replayed log leads it the same way.

    Args:
        keep: Part of a batch's candidates that trains in full.
    """

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
        """Of a first part, the reward of the accuracy expected at full length."""
        if trial.kind != "rung" or not _sound(trial):
            return trial.reward
        return reward(self.line.at(trial.accuracy or 0.0), trial.latencies_ms)

    def learn(self, trials: Iterable[Trial]) -> None:
        """Remember accuracies of either length; of a network the first one counts."""
        for trial in filter(_sound, trials):
            known = self._first if trial.kind == "rung" else self._full
            known.setdefault(trial.fingerprint, trial.accuracy or 0.0)

    @property
    def line(self) -> Line:
        """The line through all networks so far that have both accuracies."""
        both = [name for name in self._full if name in self._first]
        return Line.through([(self._first[name], self._full[name]) for name in both])

    def promoted(self, rungs: Sequence[Trial]) -> list[Trial]:
        """Those of a batch that go on, in the order asked: its better part by reward after the first part.

        Networks that have trained in full before go on beside these; it costs nothing.
        """
        best: dict[str, Trial] = {}
        for rung in sorted(filter(_sound, rungs), key=lambda t: (-t.reward, t.index)):
            if rung.fingerprint not in self._full:
                best.setdefault(rung.fingerprint, rung)
        count = _promotions(len(best), keep=self.keep, pairs=len(self._full))
        on = {*islice(best, count), *self._full}
        return [rung for rung in rungs if _sound(rung) and rung.fingerprint in on]


def _sound(trial: Trial) -> bool:
    return trial.ok and trial.accuracy is not None and math.isfinite(trial.accuracy)


def _promotions(candidates: int, *, keep: float, pairs: int) -> int:
    """How many of a batch's new candidates go on, where so many have trained in full before.

    >>> [_promotions(10, keep=0.5, pairs=pairs) for pairs in (0, 2, 4)]
    [8, 6, 5]
    """
    part = math.ceil(keep * candidates - 1e-9)  # 0.55 * 20 is 11.000000000000002
    return min(candidates, max(part, LEAST_PAIRS - pairs))


def first_recipe(recipe: Recipe, fidelity: FidelityConfig, *, train_images: int) -> Recipe:
    """How a candidate trains at first: the same recipe, shorter, with no fewer than `LEAST_STEPS`.

    Raises:
        InputError: That is no shorter than the full training.

    >>> first_recipe(Recipe(steps=400), FidelityConfig(first=0.25), train_images=1000).steps
    100
    """
    full = recipe.total_steps(train_images)
    steps = max(round(fidelity.first * full), LEAST_STEPS)
    if steps >= full:
        smaller = "" if full <= LEAST_STEPS else ", give a smaller fidelity.first"
        length = "recipe.epochs" if recipe.epochs else "recipe.steps"
        raise InputError(
            f"fidelity: the first part would be {steps} of {full} steps (never fewer than {LEAST_STEPS}): "
            f"train longer ({length}){smaller}, or leave fidelity out"
        )
    return recipe.model_copy(update={"steps": steps, "epochs": None, "min_steps": None})


def as_it_trains(fidelity: FidelityConfig, recipe: Recipe, *, train_images: int) -> FidelityConfig:
    """The same with the first part that there will be, where `LEAST_STEPS` make it longer than was asked.

    Raises:
        InputError: See `first_recipe`.

    >>> as_it_trains(FidelityConfig(first=0.1), Recipe(steps=200), train_images=1000).first
    0.25
    """
    steps = first_recipe(recipe, fidelity, train_images=train_images).total_steps(train_images)
    if steps > LEAST_STEPS:
        return fidelity
    return fidelity.model_copy(update={"first": steps / recipe.total_steps(train_images)})


def full_lengths(fidelity: FidelityConfig | None, trials: int, *, batch_size: int) -> float:
    """What a search's candidates cost together, in trainings of full length; finals not counted.

    >>> full_lengths(None, 100, batch_size=10)
    100
    >>> full_lengths(FidelityConfig(first=0.25, keep=0.5), 100, batch_size=10)  # 100 first parts, 8 + 9 * 5
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
    """How many candidates such trainings are the work of, first parts and full ones counted apart.

    So the time of a candidate is known from half a batch too, and from the first ones, of which more go on.
    """
    if fidelity is None:
        return len(trained)
    work = sum(fidelity.first if trial.kind == "rung" else 1.0 for trial in trained)
    return work / (fidelity.first + fidelity.keep)
