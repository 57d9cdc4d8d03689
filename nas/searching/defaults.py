"""What a search does unless it is told otherwise: from scratch, and from a parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from nas.searching.config import FinalsConfig
from nas.searching.reward import Reward
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe

TRIAL_STEPS = 40
"""Steps that the heir of a parent trains in a trial."""


@dataclass(frozen=True)
class Defaults:
    """Arguments of a search.

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
        """Return how finalists train: as given, by the usual recipe unless that says for how long.

        Args:
            finals: As the user gave them; None takes all of the usual ones.
        """
        if finals is None:
            return self.finals
        if finals.recipe is not None or "epochs_factor" in finals.model_fields_set:
            return finals
        return finals.model_copy(update={"recipe": self.finals.recipe})

    @classmethod
    def from_scratch(cls) -> Self:
        """Return those of a search whose networks begin with new weights."""
        return cls(Recipe(), FinalsConfig(), Reward(), trials=100)

    @classmethod
    def from_parent(cls) -> Self:
        """Return those of a search whose networks inherit their weights: short fine-tuning.

        Trials cost so little that accuracy alone counts up to the target.
        """
        finals = FinalsConfig(count=2, recipe=read_recipe("finetune"), repeats=2)
        trial = read_recipe("finetune", {"steps": TRIAL_STEPS})
        return cls(trial, finals, Reward(kind="hard"), trials=60)
