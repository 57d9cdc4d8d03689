"""Recipes by name, as YAML in this package: see `NAMES`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas.training.recipe import Recipe
from nas.training.unused_settings import require_effect
from search_spaces.errors import InputError, first_problem
from search_spaces.spec import read_yaml

FOLDER = Path(__file__).parent / "recipes"
NAMES = ("proxy", "paper", "photos", "finetune", "detect", "segment")

NAMED = ("optimizer", "schedule")
"""Settings that are a name, or a name with options of its own."""

LENGTHS = ("epochs", "steps")
"""Settings of which one replaces the other, and `min_steps`."""


def read_recipe(
    source: str | Path,
    changes: dict[str, Any] | None = None,
    *,
    base: str = "proxy",
    task: str | None = None,
) -> Recipe:
    """Read a recipe.

    Args:
        source: One of `NAMES`, or a YAML file. A file needs only the settings that it changes, and its key
            `base` names the recipe that has the others.
        changes: Settings that take precedence. A length (`epochs` or `steps`) replaces that of the recipe.
        base: The recipe that has the other settings, if a file does not name one.
        task: Name of what is learned, if known: settings of a file must have an effect on it.

    Raises:
        InputError: Neither a name nor a file, or a setting is invalid or has no effect.

    >>> read_recipe("proxy", {"steps": 10}).epochs is None
    True
    """
    try:
        return Recipe.model_validate(_changed(_settings(source, base, task), changes or {}))
    except ValidationError as error:
        raise InputError(f"recipe {source}: {first_problem(error)}") from error


def _changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with changes on top, key by key also within `augment`, `optimizer` and `schedule`.

    >>> _changed({"epochs": 9, "augment": {"hue": 0.1, "flip": True}}, {"augment": {"hue": 0.2}})
    {'epochs': 9, 'augment': {'hue': 0.2, 'flip': True}}
    >>> _changed({"optimizer": "sgd"}, {"optimizer": {"momentum": 0.95}})
    {'optimizer': {'name': 'sgd', 'momentum': 0.95}}
    """
    if any(changes.get(key) is not None for key in LENGTHS):
        base = {key: value for key, value in base.items() if key not in (*LENGTHS, "min_steps")}
    merged = base | changes
    for key, value in changes.items():
        below = base.get(key)
        if key in NAMED and isinstance(below, str):
            below = {"name": below}
        if not isinstance(value, dict) or not isinstance(below, dict):
            continue
        if value.get("name", below.get("name")) == below.get("name"):
            merged[key] = below | value
    return merged


def _settings(source: str | Path, base: str, task: str | None) -> dict[str, Any]:
    """Return the settings of a recipe, on top of those of its base."""
    if str(source) in NAMES:
        return _mapping(FOLDER / f"{source}.yaml")
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"no recipe {str(source)!r}, and no such file: there are {', '.join(NAMES)}"
        )
    own = _mapping(path)
    require_effect(own, task, where=f"recipe {path}")
    base = own.pop("base", base)
    if base not in NAMES:
        raise InputError(f"{path}: no recipe {base!r} to start from: there are {', '.join(NAMES)}")
    return _changed(_mapping(FOLDER / f"{base}.yaml"), own)


def _mapping(path: Path) -> dict[str, Any]:
    settings: object = read_yaml(path)
    if settings is None:
        raise InputError(f"{path}: empty: give keys and values")
    if not isinstance(settings, dict):
        raise InputError(f"{path}: expected keys and values, got {type(settings).__name__}")
    return settings
