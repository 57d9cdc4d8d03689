"""The job of a NetAdapt worker: train a network, from inherited weights or from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from nas.engine.job import Job
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, count


@dataclass(frozen=True, kw_only=True)
class AdaptJob(Job):
    """A network to train, from inherited weights or from scratch.

    Attributes:
        name: Description for people: `block 3 expansion 72 -> 40`.
        recipe: Training recipe, its length in steps.
        parent: The network that `weights` belong to: this one, or a wider one to cut channels from.
        weights: The parent's state dict, serialized by `torch.save`; None trains from scratch.
    """

    name: str
    recipe: Recipe
    parent: ArchSpec
    weights: bytes | None

    @property
    def work(self) -> float:
        """MAdds of the training's forward passes."""
        return work(self.spec, self.recipe)


def work(spec: ArchSpec, recipe: Recipe) -> int:
    """Return the MAdds of a training's forward passes, at the deployed resolution.

    Args:
        spec: The network.
        recipe: Its length must be in steps: see `in_steps`.
    """
    assert recipe.steps is not None
    return recipe.steps * recipe.batch_size * count(spec).madds


def in_steps(recipe: Recipe, train_images: int) -> Recipe:
    """Return the recipe with its length in steps.

    >>> in_steps(Recipe(epochs=2), 1000).steps
    14
    """
    return of_steps(recipe, recipe.total_steps(train_images))


def of_steps(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with another length."""
    return recipe.model_copy(update={"epochs": None, "min_steps": None, "steps": steps})
