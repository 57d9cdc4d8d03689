"""Refuse settings of a recipe that do nothing for what is learned."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from nas.tasks import DETECT, SEGMENT
from nas.tasks.settings import DetectSettings, SegmentSettings
from nas.training.recipe import Recipe
from search_spaces.errors import InputError

OWN: Mapping[str, type[BaseModel]] = {DETECT: DetectSettings, SEGMENT: SegmentSettings}
"""The augmentation that a task has in place of `augment`, of which it only takes `flip`."""

OFF = (0, "none")


def require_effect(recipe: object, task: str | None, *, where: str) -> None:
    """Check that the settings of a recipe change how boxes or masks are learned.

    Settings at their default or switched off pass: files may be shared with classifiers.

    Args:
        recipe: The settings given, not yet validated; others are not looked at.
        task: Name of what is learned.
        where: Name of the recipe, for the message.

    Raises:
        InputError: One has no effect.

    >>> require_effect({"augment": {"flip": False, "mixup": 0}}, "detect", where="recipe mine.yaml")
    """
    if task is None or task not in OWN or not isinstance(recipe, Mapping):
        return
    default = Recipe()
    augment = recipe.get("augment")
    for name, value in augment.items() if isinstance(augment, Mapping) else ():
        if name != "flip" and value not in (getattr(default.augment, name, value), *OFF):
            own = ", ".join(f"{task}.{key}" for key in OWN[task].model_fields)
            raise InputError(
                f"{where}: augment.{name} {value} has no effect on the task {task}: leave it out; its "
                f"augmentation is {own} and augment.flip"
            )
    smoothing = recipe.get("label_smoothing", 0)
    if task == DETECT and smoothing not in (default.label_smoothing, *OFF):
        raise InputError(
            f"{where}: label_smoothing {smoothing} has no effect on the task {task}: leave it out"
        )
