"""Uniform random search: the baseline of every other controller.

With a good space and few trials it is hard to beat (Li & Talwalkar 2019, "Random Search and
Reproducibility for Neural Architecture Search"), so every comparison should include it. It can be
constrained to a target, as TuNAS (Bender et al. 2020) draws its random networks near the target.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controllers.checks import (
    checked_arities,
    checked_count,
    checked_scored,
    checked_seed,
    checked_state,
    stamped,
)
from controllers.controller import Scored, Tokens

SWEEPS = 4
"""Average number of times that each decision is redrawn between two constrained sequences."""

FIRST_SWEEPS = 40
"""Sweeps before the first one: burn-in from anywhere in the space."""

DRAWS = 200
"""Random sequences, the nearest of which is returned if the walk does not reach the constraint."""


class Uniform:
    """All sequences, or all that satisfy a constraint, are equally likely; scores are ignored."""

    def __init__(self, arities: Sequence[int], *, seed: int) -> None:
        """Seed the generator.

        Args:
            arities: number of choices of each decision.
            seed: of every draw this controller will make.
        """
        self.arities = checked_arities(arities)
        self._stamp = {"controller": "uniform", "arities": self.arities}
        self._rng = random.Random(checked_seed(seed))
        self._bound: tuple[Callable[[Tokens], float], float] | None = None
        self._at: Tokens | None = None  # current position of the constrained walk

    def ask(self, n: int) -> list[Tokens]:
        """Draw ``n`` sequences, independent unless constrained; they may repeat."""
        if self._bound is None:
            return [draw_uniform(self.arities, self._rng) for _ in range(checked_count(n))]
        return [self._walk(*self._bound) for _ in range(checked_count(n))]

    def constrain(self, score: Callable[[Tokens], float], *, least: float) -> None:
        """Walk among the sequences that score at least ``least`` (see CanConstrain).

        A tight constraint may leave one in thousands of a large space, too few for rejection sampling. The
        walk redraws one decision at a time, and accepts the step if the constraint holds or the score does
        not decrease. Steps are symmetric, so in the long run all connected sequences that satisfy the
        constraint are equally likely.
        """
        self._bound = score, least

    def _walk(self, score: Callable[[Tokens], float], least: float) -> Tokens:
        """Continue the walk for some sweeps; return its position."""
        sweeps = SWEEPS
        if self._at is None:
            self._at, sweeps = draw_uniform(self.arities, self._rng), FIRST_SWEEPS
        reached = score(self._at)
        for _ in range(sweeps * len(self.arities)):
            position = self._rng.randrange(len(self.arities))
            choice = self._rng.randrange(self.arities[position])
            step = (*self._at[:position], choice, *self._at[position + 1 :])
            if step != self._at and (scored := score(step)) >= min(least, reached):
                self._at, reached = step, scored
        if reached < least:  # out of reach: the walk would get stuck at one sequence
            return max((draw_uniform(self.arities, self._rng) for _ in range(DRAWS)), key=score)
        return self._at

    def tell(self, scored: Scored) -> None:
        """Check the batch and ignore it."""
        checked_scored(scored, self.arities)

    def state_dict(self) -> dict[str, Any]:
        """See Controller."""
        return stamped(self._stamp, {"rng": self._rng.getstate(), "at": self._at})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Controller."""
        content = checked_state(state, self._stamp)
        self._rng.setstate(content["rng"])
        self._at = content["at"]


def draw_uniform(arities: tuple[int, ...], rng: random.Random) -> Tokens:
    """Draw a sequence, each choice of each decision equally likely.

    >>> draw_uniform((1, 1), random.Random(0))
    (0, 0)
    """
    return tuple(rng.randrange(arity) for arity in arities)
