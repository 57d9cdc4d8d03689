"""Uniform random search: the baseline that every other controller has to beat.

With a good space and few trials it is hard to beat (Li & Talwalkar 2019, "Random Search and
Reproducibility for Neural Architecture Search"), so every comparison should include it. Kept within a
target it is so as well: TuNAS (Bender et al. 2020) draws its random networks near the target too.
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
"""Times that each decision is drawn anew, on average, between two sequences that are kept within."""

FIRST_SWEEPS = 40
"""Before the first of them: the way down from anywhere in the space."""


DRAWS = 200
"""Of which the nearest is taken where the walk does not come within."""


class Uniform:
    """Every sequence equally likely, or every one within a bound, whatever was told."""

    def __init__(self, arities: Sequence[int], *, seed: int) -> None:
        """Start the stream of draws.

        Args:
            arities: number of choices of each decision.
            seed: of every draw this controller will make.
        """
        self.arities = checked_arities(arities)
        self._stamp = {"controller": "uniform", "arities": self.arities}
        self._rng = random.Random(checked_seed(seed))
        self._bound: tuple[Callable[[Tokens], float], float] | None = None
        self._at: Tokens | None = None  # where the walk within the bound stands

    def ask(self, n: int) -> list[Tokens]:
        """``n`` draws, independent unless kept within a bound; the same sequence may come twice."""
        if self._bound is None:
            return [draw_uniform(self.arities, self._rng) for _ in range(checked_count(n))]
        return [self._walked(*self._bound) for _ in range(checked_count(n))]

    def keep_within(self, score: Callable[[Tokens], float], *, least: float) -> None:
        """Walk among the sequences that score ``least`` (see CanKeepWithin).

        Of a large space a tight bound may leave one in thousands, too few to draw and reject. In the
        walk one decision at a time is drawn anew, and stays so if the sequence is within, or no worse
        than before. A step is as likely as its way back, so in the long run all that are within, and
        can be reached without leaving, are equally likely.
        """
        self._bound = score, least

    def _walked(self, score: Callable[[Tokens], float], least: float) -> Tokens:
        """The sequence where the walk stands some sweeps later."""
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
        if reached < least:  # out of reach: the walk would end at one sequence
            return max((draw_uniform(self.arities, self._rng) for _ in range(DRAWS)), key=score)
        return self._at

    def tell(self, scored: Scored) -> None:
        """Check the batch and forget it."""
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
    """One sequence, each choice of each decision equally likely.

    >>> draw_uniform((1, 1), random.Random(0))
    (0, 0)
    """
    return tuple(rng.randrange(arity) for arity in arities)
