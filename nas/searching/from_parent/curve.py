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
"""Candidates of a batch for each one that is for the curve."""

DRAWN = 32
"""Networks drawn for a candidate; the one of the highest estimated accuracy is trained."""

LEAST_POINTS = 3
"""Networks whose latencies are known before others are estimated from them."""


@dataclass(frozen=True)
class Curve:
    """Proposes candidates and finalists at further latencies.

    Attributes:
        space: The space that is searched.
        limits_ms: Of each point the highest latency on each device; the slowest point first.
        rivals: Networks whose latencies are known before the first trial.
        seed: Random seed.
    """

    space: ElasticSpace
    limits_ms: tuple[tuple[float, ...], ...]
    rivals: tuple[Rival, ...]
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
    ) -> Curve | None:
        """Space the points evenly on a log scale, from below the parent's latency down to a quarter of it.

        Args:
            space: The space that is searched.
            points: Their number; without any there is no curve.
            parent_ms: The parent's latency on each device.
            rivals: Networks whose latencies are known.
            seed: Random seed.
        """
        if points == 0:
            return None
        parts = [SMALLEST ** (place / points) for place in range(1, points + 1)]
        limits = tuple(tuple(part * ms for ms in parent_ms) for part in parts)
        return cls(space, limits, tuple(rivals), seed)

    def candidates(self, batch: int, size: int, trials: Sequence[Trial]) -> list[Tokens]:
        """Return the batch's candidates for the curve, none of a small batch or a first one.

        Args:
            batch: Number of the batch, from 0.
            size: Of the batch.
            trials: All that have trained in full.
        """
        laws = self._laws(trials)
        if laws is None:
            return []
        chosen = []
        for place in range(size // SHARE):
            number = batch * (size // SHARE) + place
            limits_ms = self.limits_ms[number % len(self.limits_ms)]
            drawn = random.Random(f"{self.seed} {number}")
            chosen.append(self._candidate(limits_ms, laws, trials, drawn))
        return chosen

    def finalists(
        self, trials: Sequence[Trial], estimates: Mapping[int, Estimate], *, beside: Sequence[Trial]
    ) -> list[Trial]:
        """Return the trial of the highest estimated accuracy at each point, those of `beside` left out."""
        taken = {trial.fingerprint for trial in beside}
        found: list[Trial] = []
        for place, limits_ms in enumerate(self.limits_ms):
            # Down to the next point; of the last one, as far again.
            faster = self.limits_ms[place + 1 : place + 2] or [
                tuple(
                    ms * ms / before
                    for ms, before in zip(limits_ms, self._before(place), strict=True)
                )
            ]
            near = [
                trial
                for trial in distinct(trials)
                if trial.within(limits_ms) and not trial.within(faster[0])
            ]
            best = max(near, key=_accuracy_by(estimates), default=None)
            if best is not None and best.fingerprint not in taken:
                taken.add(best.fingerprint)
                found.append(best)
        return found

    def _before(self, place: int) -> tuple[float, ...]:
        """Return the limits of the point before one; before the first, the parent's latency."""
        if place > 0:
            return self.limits_ms[place - 1]
        part: float = SMALLEST ** (1 / len(self.limits_ms))
        return tuple(ms / part for ms in self.limits_ms[0])

    def _laws(self, trials: Sequence[Trial]) -> list[PowerLaw] | None:
        """Fit a law of latency on each device to all that is known; None if that is too little."""
        known = [(self.space.decode(t.tokens), t.latencies_ms) for t in distinct(trials)]
        known += [
            (rival.spec, tuple(ms.median_ms for ms in rival.latencies)) for rival in self.rivals
        ]
        if len(known) < LEAST_POINTS:
            return None
        return [
            PowerLaw.through([(spec, ms[device]) for spec, ms in known])
            for device in range(len(self.limits_ms[0]))
        ]

    def _candidate(
        self,
        limits_ms: Sequence[float],
        laws: Sequence[PowerLaw],
        trials: Sequence[Trial],
        drawn: random.Random,
    ) -> Tokens:
        """Return the best of some networks just within the limits, by the surrogate of all trials."""

        def is_within(spec: ArchSpec) -> bool:
            return all(law.ms(spec) <= ms for law, ms in zip(laws, limits_ms, strict=True))

        found = [self._smaller(is_within, drawn) for _ in range(DRAWN)]
        read = [trial for trial in distinct(trials) if trial.accuracy is not None]
        if len(read) < LEAST_TRIALS:
            return found[0]
        from controllers.surrogate import fit  # loads torch

        model = fit(
            self.space.arities,
            [trial.tokens for trial in read],
            [trial.accuracy or 0.0 for trial in read],
        )
        means, _ = model.estimate(found)
        return found[max(range(DRAWN), key=means.__getitem__)]

    def _smaller(self, is_within: Callable[[ArchSpec], bool], drawn: random.Random) -> Tokens:
        """Make random decisions of the parent smaller until it is within the limits."""
        tokens, arities = self.space.encode(self.space.parent), self.space.arities
        spec = self.space.decode(tokens)
        for _ in range(100 * len(arities)):  # a limit below every network is not reached
            if is_within(spec):
                break
            place = drawn.randrange(len(arities))
            changed = (*tokens[:place], drawn.randrange(arities[place]), *tokens[place + 1 :])
            other = self.space.decode(changed)
            if count(other).madds < count(spec).madds:
                tokens, spec = changed, other
        return tokens


def _accuracy_by(estimates: Mapping[int, Estimate]) -> Callable[[Trial], tuple[float, int]]:
    """Return a trial's rank: by estimated accuracy if there is one, else by its reading; ties by index."""

    def rank(trial: Trial) -> tuple[float, int]:
        known = estimates.get(trial.index)
        return (trial.accuracy or 0.0) if known is None else known.accuracy, -trial.index

    return rank
