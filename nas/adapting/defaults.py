"""Default recipes of a NetAdapt run, by task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.adapting.kinds import FINETUNE, SCRATCH
from nas.tasks import CLASSIFY, task_of
from nas.training.named_recipes import read_recipe

TUNING_RATE = 1e-3
"""Peak learning rate of a classifier's proposals."""

FINAL_EPOCHS = 30.0
"""Length of a classifier's final training."""


def with_defaults(settings: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return settings of `AdaptConfig` with a task's recipes where they leave these open.

    A classifier is trained from scratch at the end, as in MobileNetV3's paper. The recipes of other tasks
    begin with a pretrained body, so their networks are fine-tuned.

    Args:
        settings: `recipe` and `final_recipe` have what is given of each; `final` may be missing.
        task: Name of what the network has learned.

    Raises:
        InputError: A setting of a recipe is invalid.

    >>> found = with_defaults({"recipe": {"steps": 60}, "final_recipe": {}}, "detect")
    >>> found["final"], found["recipe"].steps, found["recipe"].batch_size
    ('finetune', 60, 16)
    """
    tuning, last = settings["recipe"], settings["final_recipe"]
    if task == CLASSIFY:
        tuning = {"learning_rate": TUNING_RATE} | tuning
        last = {"epochs": FINAL_EPOCHS} | last
        return {"final": SCRATCH, **settings, "recipe": tuning, "final_recipe": last}
    named = task_of(task).usual.recipe
    rate = {key: value for key, value in tuning.items() if key == "learning_rate"}
    recipes = {
        "recipe": read_recipe(named, tuning),
        "final_recipe": read_recipe(named, rate | last),
    }
    return {"final": FINETUNE, **settings, **recipes}
