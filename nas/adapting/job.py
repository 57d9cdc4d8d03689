"""The job of a NetAdapt worker: train a network, from inherited weights or from scratch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.engine.job import Job
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, count

if TYPE_CHECKING:
    from netadapt.channel_selection import ChannelOrder


@dataclass(frozen=True, kw_only=True)
class AdaptJob(Job):
    """A network to train, from inherited weights or from scratch.

    Attributes:
        name: Description for people: `block 3 expansion 72 -> 40`.
        recipe: Training recipe, its length in steps.
        parent: The network that `weights` belong to: this one, or a wider one to cut channels from.
        weights: The parent's state dict, serialized by `torch.save`; None trains from scratch.
        teacher_madds: Multiply-adds of the teacher that it learns from; 0 without one.
        order: The parent's channels in every space, the most important one first; None selects them by
            rule.
    """

    name: str
    recipe: Recipe
    parent: ArchSpec
    weights: bytes | None
    teacher_madds: int = 0
    order: ChannelOrder | None = field(default=None, compare=False)

    @property
    def work(self) -> float:
        """MAdds of the training's forward passes; the teacher's count a third, having no backward pass."""
        return work(self.spec, self.recipe) + teaching(self.recipe, self.teacher_madds)


def work(spec: ArchSpec, recipe: Recipe) -> int:
    """Return the MAdds of a training's forward passes, at the deployed resolution.

    Args:
        spec: The network.
        recipe: Its length must be in steps: see `Recipe.in_steps`.
    """
    assert recipe.steps is not None
    return recipe.steps * recipe.batch_size * count(spec).madds


def teaching(recipe: Recipe, madds: int) -> int:
    """Return the work that a teacher adds to a training, in the unit of `work`.

    A training step takes as long as three forward passes, of which a teacher has one.

    Args:
        recipe: Its length must be in steps: see `Recipe.in_steps`.
        madds: The teacher's multiply-adds for an image; 0 without a teacher.

    >>> teaching(Recipe(steps=10, batch_size=8), 300)
    8000
    """
    assert recipe.steps is not None
    return round(recipe.steps * recipe.batch_size * madds / 3)
