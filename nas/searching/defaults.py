"""Default settings of a search from scratch, and of one from a parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from nas.searching.config import FinalsConfig
from nas.searching.reward import Reward
from nas.tasks import task_of
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe

SCRATCH_EPOCHS = 5.0
"""Length of a trial in a search from scratch."""


@dataclass(frozen=True)
class Defaults:
    """Default arguments of a search.

    Attributes:
        recipe: Training recipe of a trial.
        finals: How finalists train.
        reward: Of accuracy and latency.
        trials: Number of candidates.
    """

    recipe: Recipe
    finals: FinalsConfig
    reward: Reward
    trials: int

    def completed(self, finals: FinalsConfig | None) -> FinalsConfig:
        """Return how finalists train: as given, with the default recipe if neither recipe nor length is.

        Args:
            finals: The user's settings; None takes the defaults.
        """
        if finals is None:
            return self.finals
        if finals.recipe is not None or "epochs_factor" in finals.model_fields_set:
            return finals
        return finals.model_copy(update={"recipe": self.finals.recipe})

    @classmethod
    def from_scratch(cls, task: str) -> Self:
        """Return the defaults of a search whose networks begin with new weights.

        Args:
            task: Name of what is learned; see `nas.tasks.task_of`.
        """
        recipe = read_recipe(task_of(task).usual.from_scratch, {"epochs": SCRATCH_EPOCHS})
        return cls(recipe, FinalsConfig(), Reward(), trials=100)

    @classmethod
    def from_parent(cls, task: str) -> Self:
        """Return the defaults of a search whose networks inherit weights: short fine-tuning.

        Trials cost so little that accuracy alone counts up to the target.

        Args:
            task: Name of what is learned.
        """
        usual = task_of(task).usual
        length = {} if usual.final_epochs is None else {"epochs": usual.final_epochs}
        finals = FinalsConfig(count=2, recipe=read_recipe(usual.recipe, length), repeats=2)
        trial = read_recipe(usual.recipe, {"steps": usual.trial_steps})
        return cls(trial, finals, Reward(kind="hard"), trials=60)
