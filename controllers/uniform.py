"""Uniform random search: the baseline that every other controller has to beat.

With a good space and few trials it is hard to beat (Li & Talwalkar 2019, "Random Search and
Reproducibility for Neural Architecture Search"), so every comparison should include it.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.checks import (
    checked_arities,
    checked_count,
    checked_scored,
    checked_state,
    stamped,
)
from controllers.controller import Scored, Tokens


class Uniform:
    """Every sequence equally likely, whatever was told."""

    def __init__(self, arities: Sequence[int], *, seed: int) -> None:
        """Start the stream of draws.

        Args:
            arities: number of choices of each decision.
            seed: of every draw this controller will make.
        """
        self.arities = checked_arities(arities)
        self._stamp = {"controller": "uniform", "arities": self.arities}
        self._rng = random.Random(seed)

    def ask(self, n: int) -> list[Tokens]:
        """``n`` independent draws; the same sequence may come twice."""
        return [draw_uniform(self.arities, self._rng) for _ in range(checked_count(n))]

    def tell(self, scored: Scored) -> None:
        """Check the batch and forget it."""
        checked_scored(scored, self.arities)

    def choice_probabilities(self) -> list[list[float]]:
        """1 / arity for each choice (see HasPolicy)."""
        return [[1 / arity] * arity for arity in self.arities]

    def state_dict(self) -> dict[str, Any]:
        """See Controller."""
        return stamped(self._stamp, {"rng": self._rng.getstate()})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Controller."""
        self._rng.setstate(checked_state(state, self._stamp)["rng"])


def draw_uniform(arities: tuple[int, ...], rng: random.Random) -> Tokens:
    """One sequence, each choice of each decision equally likely.

    >>> draw_uniform((1, 1), random.Random(0))
    (0, 0)
    """
    return tuple(rng.randrange(arity) for arity in arities)
