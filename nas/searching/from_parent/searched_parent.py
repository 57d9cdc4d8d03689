"""How a search uses its parent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nas.tasks import task_of, task_of_spec
from nas.tasks.task import Usual
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

Narrow = Callable[..., "Checkpoint"]
"""See `SearchedParent.narrow`."""


@dataclass(frozen=True)
class SearchedParent:
    """The trained network of an elastic space, and how a search uses it.

    Attributes:
        checkpoint: The network.
        recipe: How it is fine-tuned first, if it was trained on other classes; None takes the recipe that
            is usual for its task.
        ranking_images: Images to rank trials on: those held out, and as many training images as are missing
            (`nas.searching.from_parent.set_aside`). A parent that knows the classes already may have seen
            them, so then only those held out.
        temperature: Of the parent as teacher: see `nas.training.teacher_config.TeacherConfig`.
        teacher_weight: See there; 0 trains without a teacher. None takes what is usual for its task.
        kept: Folder of parents that earlier runs have fine-tuned; None keeps the parent in the run alone.
        rivals: Further trained networks to compare finalists with, by name.
        narrow: Makes one more rival of the tuned parent; called with (parent, its images, target in ms, a
            folder, a progress callback), and must be resumable there.
        curve: Number of further latencies, between the parent's and a quarter of it, at which the best
            sub-network is searched and trained too.
    """

    checkpoint: Checkpoint
    recipe: Recipe | None = None
    ranking_images: int = 1000
    temperature: float = 2.0
    teacher_weight: float | None = None
    kept: Path | None = None
    rivals: Mapping[str, Checkpoint] = field(default_factory=dict)
    narrow: Narrow | None = None
    curve: int = 0

    @property
    def tuning(self) -> Recipe:
        """How it is fine-tuned first."""
        return self.recipe or read_recipe(self._usual.recipe)

    @property
    def teaching(self) -> float:
        """Its weight as teacher."""
        return self._usual.teacher_weight if self.teacher_weight is None else self.teacher_weight

    @property
    def _usual(self) -> Usual:
        return task_of(task_of_spec(self.checkpoint.spec)).usual
