"""Settings of a comparison from its options, and what all of its networks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from nas.cli.compare.networks import Named
from nas.cli.compare.options import Asked, CompareRecipeOptions
from nas.cli.machine import require_machine
from nas.cli.options.data import absolute, data_config
from nas.comparing.config import CompareConfig
from nas.comparing.contestant import Contestant
from nas.data.finding import task_of_source
from nas.tasks import task_of
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe
from search_spaces import InputError
from search_spaces.errors import first_problem

OPTIONS = {"first_seed": "random-seed", "devices": "device"}


def settings_of(named: Sequence[Named], asked: Asked) -> CompareConfig:
    """Return the settings, checked; transparent images have the background of the first trained network.

    Raises:
        InputError: One is invalid or missing, or this machine lacks what they need.
    """
    data = asked.what.data
    if data is None:
        raise InputError("give --data with a folder of annotated images, or a data set's name")
    recipe, wanted = asked.recipe, data_config(data, **asked.images.settings())
    first = next((one.start for one in named if one.start is not None), None)
    if first is not None:
        wanted = wanted.model_copy(update={"background": first.usage.background})
    finetune, from_scratch = _recipes(recipe, task_of_source(data, asked.images.task))
    if any(one.start is None for one in named):
        from_scratch.require_new_weights()
    config = checked_config(
        data=absolute(wanted),
        finetune=finetune,
        from_scratch=from_scratch,
        teacher=recipe.teacher_settings(),
        schedule=asked.schedule.settings(),
        **asked.what.settings(),
    )
    require_machine(config.schedule, finetune, from_scratch)
    return config


def checked_config(**settings: Any) -> CompareConfig:
    """Check the settings.

    Raises:
        InputError: One is invalid; the message names its option.
    """
    try:
        return CompareConfig(**settings)
    except ValidationError as error:
        name, colon, rest = first_problem(error).partition(":")
        first, _, below = name.partition(".")
        option = below if first == "schedule" else OPTIONS.get(first, first)
        raise InputError(f"--{option.replace('_', '-')}{colon}{rest}") from error


def _recipes(recipe: CompareRecipeOptions, task: str) -> tuple[Recipe, Recipe]:
    """Return the recipe of networks with trained weights, and that of the others."""
    usual, changes = task_of(task).usual, recipe.settings()
    tuned, new = (
        read_recipe(recipe.recipe or name, changes, base=name, task=task)
        for name in (usual.recipe, usual.from_scratch)
    )
    return tuned, new


def used_recipes(every: Sequence[Named | Contestant], config: CompareConfig) -> list[Recipe]:
    """Return the recipes that some of the networks are trained by."""
    used = [
        recipe
        for recipe, new in ((config.finetune, False), (config.from_scratch, True))
        if any((one.start is None) is new for one in every)
    ]
    return used + [one.first for one in every if one.first is not None]


def common_crop(every: Sequence[Named | Contestant], config: CompareConfig) -> float:
    """Return the center crop of the images that all networks are evaluated on.

    Raises:
        InputError: Two networks see other parts of an image.
    """
    crops = {
        config.from_scratch.evaluation_crop()
        if one.start is None
        else config.finetune.evaluation_crop(one.start.usage.crop): one.name
        for one in every
    }
    if len(crops) > 1:
        (first, one), (second, other) = list(crops.items())[:2]
        raise InputError(
            f"{one} sees {first:.0%} of an image's side, {other} {second:.0%}: give a recipe file with "
            "center_crop, which all networks then have"
        )
    return next(iter(crops))
