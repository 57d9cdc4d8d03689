"""The job of a worker: train a network of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from nas.engine.job import Job
from nas.training.recipe import Recipe
from search_spaces import count

RATE, SEED = "rate", "seed"
"""Kinds of trainings: those that choose a learning rate, and those that are compared."""


@dataclass(frozen=True, kw_only=True)
class CompareJob(Job):
    """A training of a network.

    Attributes:
        name: What it is called in the progress.
        place: Position of the network in the comparison.
        recipe: How to train it, for a number of steps.
        file: Name of the training; see `nas.comparing.trainings`.
    """

    name: str
    place: int
    recipe: Recipe
    file: str

    @property
    def work(self) -> float:
        """MAdds of the training's forward passes."""
        assert self.recipe.steps is not None
        return self.recipe.steps * self.recipe.batch_size * count(self.spec).madds
