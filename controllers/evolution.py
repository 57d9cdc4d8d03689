"""Regularized evolution: a population in which the oldest dies, not the worst.

Real et al. 2019 ("Regularized Evolution for Image Classifier Architecture Search"), algorithm 1.
A good architecture survives only if it is found good again: a lucky noisy score dies of age.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.checks import (
    checked_arities,
    checked_count,
    checked_scored,
    checked_seed,
    checked_state,
    checked_whole,
    stamped,
)
from controllers.controller import Scored, Tokens
from controllers.uniform import draw_uniform


class RegularizedEvolution:
    """Aging evolution with tournament selection and one mutation per child.

    The defaults are for 100-1000 trials. The paper's, for 20,000, would draw the first 100 at random.
    """

    def __init__(
        self,
        arities: Sequence[int],
        *,
        seed: int,
        population_size: int = 20,
        sample_size: int = 10,
    ) -> None:
        """Start with an empty population.

        Args:
            arities: number of choices of each decision.
            seed: of every draw this controller will make.
            population_size: P of algorithm 1, the trials alive at once (paper: 100).
            sample_size: S of algorithm 1, the trials that compete to be a parent (paper: 25).
        """
        self.arities = checked_arities(arities)
        self._population_size = checked_whole("population_size", population_size)
        self._sample_size = checked_whole("sample_size", sample_size)
        self._stamp = {
            "controller": "evolution",
            "arities": self.arities,
            "population_size": self._population_size,
            "sample_size": self._sample_size,
        }
        self._rng = random.Random(checked_seed(seed))
        # A full deque drops its oldest entry at each append: this is the aging.
        self._population: deque[tuple[Tokens, float]] = deque(maxlen=self._population_size)

    def ask(self, n: int) -> list[Tokens]:
        """Return random sequences until the population is full, then mutations of its members.

        No sequence of a batch is scored before the batch is complete, as in the asynchronous form of
        algorithm 1 with ``n`` workers.
        """
        return [self._propose() for _ in range(checked_count(n))]

    def tell(self, scored: Scored) -> None:
        """Append the batch to the population, in order, and drop the oldest."""
        self._population.extend(checked_scored(scored, self.arities))

    def _propose(self) -> Tokens:
        if len(self._population) < self._population_size:
            return draw_uniform(self.arities, self._rng)
        # With replacement, as in algorithm 1.
        sample = self._rng.choices(self._population, k=self._sample_size)
        parent, _ = max(sample, key=lambda member: member[1])
        return mutate(parent, self.arities, rng=self._rng)

    def state_dict(self) -> dict[str, Any]:
        """See Controller."""
        return stamped(
            self._stamp, {"population": list(self._population), "rng": self._rng.getstate()}
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Controller."""
        content = checked_state(state, self._stamp)
        self._rng.setstate(content["rng"])
        self._population = deque(content["population"], maxlen=self._population_size)


def mutate(parent: Tokens, arities: tuple[int, ...], *, rng: random.Random) -> Tokens:
    """Change one decision, drawn uniformly, to another of its choices.

    >>> mutate((0, 1, 0), (1, 2, 1), rng=random.Random(0))
    (0, 0, 0)
    """
    free = [position for position, arity in enumerate(arities) if arity > 1]
    if not free:  # the space has a single sequence
        return parent
    position = rng.choice(free)
    others = [choice for choice in range(arities[position]) if choice != parent[position]]
    return (*parent[:position], rng.choice(others), *parent[position + 1 :])
