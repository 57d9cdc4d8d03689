"""What a NetAdapt worker gets, and how a step's proposals are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from latency import Latency
from nas.atomic_files import read_json
from nas.engine.run_folder import RunFolder
from nas.engine.trial import Job
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, count
from search_spaces.spec import from_dict, to_dict


@dataclass(frozen=True, kw_only=True)
class AdaptJob(Job):
    """A network to train, from another's weights or anew.

    Attributes:
        name: For people: `block 3 expansion 72 -> 40`.
        recipe: How; its length is in steps.
        parent: The network that `weights` are of: this one, or a wider one whose channels are cut out.
        weights: Its state dict, serialized by `torch.save`; None draws them anew.
        problem: Why it is not trained; None if it is.
    """

    name: str
    recipe: Recipe
    parent: ArchSpec
    weights: bytes | None
    problem: str | None = None

    @property
    def work(self) -> int:
        """Multiply-adds of its training's forward passes: how long it takes, beside others."""
        return work(self.spec, self.recipe)


def work(spec: ArchSpec, recipe: Recipe) -> int:
    """Multiply-adds of a training's forward passes, at the deploy resolution.

    Args:
        spec: The network.
        recipe: Of a length in steps: see `in_steps`.
    """
    assert recipe.steps is not None
    return recipe.steps * recipe.batch_size * count(spec).madds


def in_steps(recipe: Recipe, train_images: int) -> Recipe:
    """The same recipe, its length in steps.

    >>> in_steps(Recipe(epochs=2), 1000).steps
    14
    """
    return of_steps(recipe, recipe.total_steps(train_images))


def of_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe at another length."""
    return recipe.model_copy(update={"epochs": None, "min_steps": None, "steps": steps})


@dataclass(frozen=True)
class Planned:
    """A proposal of a step, as it is written down.

    Attributes:
        name: For people.
        spec: The network.
        latency: What the source said of it; None if it could not.
        problem: Why it could not.
    """

    name: str
    spec: ArchSpec
    latency: Latency | None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        known = {"name": self.name, "latency": self.latency and self.latency.to_dict()}
        problem = {"problem": self.problem} if self.problem else {}
        return known | problem | {"spec": to_dict(self.spec)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The proposal that `to_dict` gave."""
        latency = Latency.from_dict(data["latency"]) if data["latency"] else None
        return cls(data["name"], from_dict(data["spec"]), latency, data.get("problem"))


@dataclass(frozen=True)
class StepPlan:
    """A step's proposals, and the delta in milliseconds that each saves at least."""

    delta_ms: float
    proposals: Sequence[Planned]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: `plans/step-N.json`."""
        return {
            "delta_ms": self.delta_ms,
            "proposals": [planned.to_dict() for planned in self.proposals],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The plan that `to_dict` gave."""
        return cls(data["delta_ms"], [Planned.from_dict(entry) for entry in data["proposals"]])


def confirmed_path(folder: RunFolder, step: int) -> Path:
    """Where the latency of a step's network is kept, measured once it was chosen."""
    return folder / "family" / f"step-{step}.latency.json"


def read_confirmed(path: Path) -> Latency | None:
    """The latency in such a file; None if there is none."""
    return Latency.from_dict(read_json(path)) if path.is_file() else None
