"""Recipes by name: `proxy`, `paper`, `photos` and `finetune`, as YAML in this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas.training.recipe import Recipe
from search_spaces.errors import InputError, first_problem
from search_spaces.spec import read_yaml

FOLDER = Path(__file__).parent / "recipes"
NAMES = ("proxy", "paper", "photos", "finetune")
LENGTHS = ("epochs", "steps", "min_steps")
"""Settings of which one replaces all."""


def read_recipe(source: str | Path, changes: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe.

    Args:
        source: One of `NAMES`, or a YAML file. A file needs only the settings that it changes, and its key
            `base` names the recipe that has the others: `proxy` by default.
        changes: Settings that take precedence. A length (`epochs` or `steps`) replaces all lengths.

    Raises:
        InputError: Neither a name nor a file, or a setting is invalid.

    >>> read_recipe("proxy", {"steps": 10}).epochs is None
    True
    """
    settings = _settings(source)
    changes = changes or {}
    if _is_length(changes):
        settings = {key: value for key, value in settings.items() if key not in LENGTHS}
    try:
        return Recipe.model_validate(settings | changes)
    except ValidationError as error:
        raise InputError(f"recipe {source}: {first_problem(error)}") from error


def _is_length(settings: dict[str, Any]) -> bool:
    return any(settings.get(key) is not None for key in LENGTHS)


def _settings(source: str | Path) -> dict[str, Any]:
    """Return the settings of a recipe, on top of those of its base."""
    if str(source) in NAMES:
        return _mapping(FOLDER / f"{source}.yaml")
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"no recipe {str(source)!r}: there are {', '.join(NAMES)}; a file needs its whole path"
        )
    own = _mapping(path)
    base = own.pop("base", "proxy")
    if base not in NAMES:
        raise InputError(f"{path}: no recipe {base!r} to start from: there are {', '.join(NAMES)}")
    below = _mapping(FOLDER / f"{base}.yaml")
    if _is_length(own):
        below = {key: value for key, value in below.items() if key not in LENGTHS}
    return below | own


def _mapping(path: Path) -> dict[str, Any]:
    settings: object = read_yaml(path)
    if not isinstance(settings, dict):
        raise InputError(f"{path}: expected keys and values, got {type(settings).__name__}")
    return settings
