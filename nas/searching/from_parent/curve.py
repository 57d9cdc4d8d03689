"""The curve of sub-networks: the best ones at further latencies, between the parent's and a quarter of it.

The target is one point of it. The others take few trials of their own, since accuracy does not depend on
the target: what was learned near one point serves the others, through the surrogate of all trials.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nas.engine.trial import Trial
from nas.searching.from_parent.rivals import Rival
from nas.searching.latency_warmup import PowerLaw
from nas.searching.results.estimates import LEAST_TRIALS, Estimate, distinct
from search_spaces import ArchSpec, ElasticSpace, Tokens, count

SMALLEST = 0.25
"""Latency of the fastest point, relative to the parent's."""

SHARE = 5
"""One candidate in `SHARE` is spent on the curve."""

DRAWN = 32
"""Networks drawn for a candidate; the one of the highest estimated accuracy is trained."""

LEAST_POINTS = 3
"""Minimum number of measured networks for a latency law."""


Estimates = Callable[[Sequence[Tokens]], Sequence[float]]
"""Estimates the accuracies of networks."""

Measured = tuple[ArchSpec, tuple[float, ...]]
"""A network, and its latency on each device in ms."""


@dataclass(frozen=True)
class Curve:
    """Proposes candidates and finalists at further latencies.

    Attributes:
        space: The space that is searched.
        limits_ms: Of each point the highest latency on each device; the slowest point first.
        known: Networks whose latencies are known before the first trial, the parent among them.
        seed: Random seed.
    """

    space: ElasticSpace
    limits_ms: tuple[tuple[float, ...], ...]
    known: tuple[Measured, ...]
    seed: int

    @classmethod
    def of(
        cls,
        space: ElasticSpace,
        points: int,
        *,
        parent_ms: Sequence[float],
        rivals: Sequence[Rival],
        seed: int,
    ) -> Curve:
        """Space the points evenly on a log scale, from below the parent's latency down to a quarter of it.

        Args:
            space: The space that is searched.
            points: Their number, at least 1.
            parent_ms: The parent's latency on each device.
            rivals: Networks whose latencies are known.
            seed: Random seed.
        """
        parts = [SMALLEST ** (place / points) for place in range(1, points + 1)]
        limits = tuple(tuple(part * ms for ms in parent_ms) for part in parts)
        measured = [(rival.spec, tuple(ms.median_ms for ms in rival.latencies)) for rival in rivals]
        return cls(space, limits, ((space.parent, tuple(parent_ms)), *measured), seed)

    def candidates(self, asked: int, size: int, trials: Sequence[Trial]) -> list[Tokens]:
        """Return a batch's candidates for the curve; empty before enough latencies are known.

        Args:
            asked: Candidates of all batches before.
            size: Of the batch.
            trials: All that have trained in full.
        """
        numbers = range(asked // SHARE, (asked + size) // SHARE)
        laws = self._laws(trials) if numbers else None
        if laws is None:
            return []
        estimate = self._estimates(trials)
        return [self._candidate(number, laws, estimate) for number in numbers]

    def finalists(
        self, trials: Sequence[Trial], estimates: Mapping[int, Estimate], *, beside: Sequence[Trial]
    ) -> list[Trial]:
        """Return the trial of the highest estimated accuracy at each point, those of `beside` left out.

        A point's trials are those between its latency and the next point's; the last band is as wide.
        """
        taken = {trial.fingerprint for trial in beside}
        found: list[Trial] = []
        for limits_ms in self.limits_ms:
            next_ms = [ms * SMALLEST ** (1 / len(self.limits_ms)) for ms in limits_ms]
            near = [
                trial
                for trial in distinct(trials)
                if trial.within(limits_ms) and not trial.within(next_ms)
            ]
            best = max(near, key=_accuracy_by(estimates), default=None)
            if best is not None and best.fingerprint not in taken:
                taken.add(best.fingerprint)
                found.append(best)
        return found

    def _laws(self, trials: Sequence[Trial]) -> list[PowerLaw] | None:
        """Fit a law of latency on each device to all that is known; None if that is too little."""
        known = [(self.space.decode(t.tokens), t.latencies_ms) for t in distinct(trials)]
        known += self.known
        if len(known) < LEAST_POINTS:
            return None
        return [
            PowerLaw.through([(spec, ms[device]) for spec, ms in known])
            for device in range(len(self.limits_ms[0]))
        ]

    def _estimates(self, trials: Sequence[Trial]) -> Estimates | None:
        """Return a function that estimates accuracies by the surrogate of all trials; None of too few."""
        read = [trial for trial in distinct(trials) if trial.accuracy is not None]
        if len(read) < LEAST_TRIALS:
            return None
        from controllers.surrogate import fit  # loads torch

        model = fit(
            self.space.arities,
            [trial.tokens for trial in read],
            [trial.accuracy or 0.0 for trial in read],
        )
        return lambda networks: model.estimate(networks)[0]

    def _candidate(
        self, number: int, laws: Sequence[PowerLaw], estimates: Estimates | None
    ) -> Tokens:
        """Return the most promising of some networks just within a point's limits.

        Args:
            number: Candidates of the curve before: the points take turns.
            laws: Of latency on each device.
            estimates: Of accuracies; without any the first network is as good as another.
        """
        limits_ms = self.limits_ms[number % len(self.limits_ms)]
        drawn = random.Random(f"{self.seed} {number}")

        def is_within(spec: ArchSpec) -> bool:
            return all(law.ms(spec) <= ms for law, ms in zip(laws, limits_ms, strict=True))

        if estimates is None:
            return self._smaller(is_within, drawn)
        found = [self._smaller(is_within, drawn) for _ in range(DRAWN)]
        return found[max(range(DRAWN), key=estimates(found).__getitem__)]

    def _smaller(self, is_within: Callable[[ArchSpec], bool], drawn: random.Random) -> Tokens:
        """Make random decisions of the parent smaller until it is within the limits."""
        tokens, arities = self.space.encode(self.space.parent), self.space.arities
        spec = self.space.decode(tokens)
        idle = 0
        while not is_within(spec) and idle < 10 * len(arities):  # some limits no network reaches
            place = drawn.randrange(len(arities))
            changed = (*tokens[:place], drawn.randrange(arities[place]), *tokens[place + 1 :])
            other = self.space.decode(changed)
            idle += 1
            if count(other).madds < count(spec).madds:
                tokens, spec, idle = changed, other, 0
        return tokens


def _accuracy_by(estimates: Mapping[int, Estimate]) -> Callable[[Trial], tuple[float, int]]:
    """Return a trial's rank: by estimated accuracy if there is one, else by its reading; ties by index."""

    def rank(trial: Trial) -> tuple[float, int]:
        known = estimates.get(trial.index)
        return (trial.accuracy or 0.0) if known is None else known.accuracy, -trial.index

    return rank
