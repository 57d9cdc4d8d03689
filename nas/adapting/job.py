"""What a NetAdapt worker gets: a network to train, from another's weights or from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from nas.engine.job import Job
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, count


@dataclass(frozen=True, kw_only=True)
class AdaptJob(Job):
    """A network to train, from another's weights or from scratch.

    Attributes:
        name: For people: `block 3 expansion 72 -> 40`.
        recipe: How; its length is in steps.
        parent: The network that `weights` are of: this one, or a wider one whose channels are cut out.
        weights: Its state dict, serialized by `torch.save`; None draws them anew.
    """

    name: str
    recipe: Recipe
    parent: ArchSpec
    weights: bytes | None

    @property
    def work(self) -> float:
        """Multiply-adds of its training's forward passes."""
        return work(self.spec, self.recipe)


def work(spec: ArchSpec, recipe: Recipe) -> int:
    """Multiply-adds of a training's forward passes, at the deployed size.

    Args:
        spec: The network.
        recipe: Of a length in steps: see `in_steps`.
    """
    assert recipe.steps is not None
    return recipe.steps * recipe.batch_size * count(spec).madds


def in_steps(recipe: Recipe, train_images: int) -> Recipe:
    """Return the same recipe, its length in steps.

    >>> in_steps(Recipe(epochs=2), 1000).steps
    14
    """
    return of_steps(recipe, recipe.total_steps(train_images))


def of_steps(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe at another length."""
    return recipe.model_copy(update={"epochs": None, "min_steps": None, "steps": steps})
