"""Presets, and how the settings of a search are merged from a preset, a file and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.searching.beginning import SUB_NETWORKS, with_beginning
from nas.searching.config import SearchConfig, parse_config, read_settings
from nas.searching.defaults import Defaults
from nas.searching.targets import with_targets
from nas.tasks import CLASSIFY, task_of
from nas.training.named_recipes import NAMED, read_recipe
from nas.training.unused_settings import require_effect
from search_spaces.errors import InputError
from search_spaces.nearest import did_you_mean

# Reliable: an hour or two on two cores with the embedded images, less with more cores. On 2,640 photos,
# forty steps ranked networks by chance more than by merit (benchmarks/RESULTS.md), so small data sets are
# trained for more epochs.
_STANDARD: dict[str, Any] = {
    "trials": 100,
    "batch_size": 10,
    "recipe": {"epochs": 5.0, "min_steps": 200},
}

PRESETS: dict[str, dict[str, Any]] = {
    # For `make search`: minutes on two cores, to see every part work on real images.
    "quick": {
        "trials": 16,
        "batch_size": 4,
        "recipe": {"epochs": 1.5, "augment": {"pad_fraction": 0.0}},
        "finals": {"count": 2, "epochs_factor": 3.0, "repeats": 2},
        "controller": {"name": "screened", "options": {"warmup": 4}},
    },
    "standard": _STANDARD,
    # The papers' plain procedure: REINFORCE alone decides what is trained.
    "paper": {**_STANDARD, "controller": {"name": "rnn"}, "latency_warmup": None},
}


_QUICK_FROM_PARENT: dict[str, Any] = {
    "trials": 24,
    "batch_size": 4,
    "finals": {"count": 1},
    # In minutes there is no time for a second parent, without which only held-out images rank.
    "parent": {"ranking_images": 0},
}


def _from_parent(preset: str, task: str) -> dict[str, Any]:
    """Return what a preset changes in a search from a parent: short fine-tuning in place of training.

    Args:
        preset: Its name.
        task: Name of what is learned.

    Raises:
        InputError: The preset is for a search from scratch.
    """
    if preset == "paper":
        raise InputError(
            "the preset paper trains from scratch, as the paper does: leave it out to search from a parent"
        )
    usual = Defaults.from_parent(task)
    settings: dict[str, Any] = {
        "space": SUB_NETWORKS,
        "data": {"source": "fruit-photos"},
        "reward": {"kind": usual.reward.kind},
        "trials": usual.trials,
        "batch_size": 10,
        "recipe": usual.recipe.model_dump(mode="json"),
        "finals": usual.finals.model_dump(mode="json", include={"recipe", "count", "repeats"}),
    }
    of_task = task_of(task).usual
    settings["parent"] = {
        "recipe": read_recipe(of_task.recipe).model_dump(mode="json"),
        "teacher_weight": of_task.teacher_weight,
    }
    if preset != "quick":
        return settings
    quick = merged(settings | {"resolution": of_task.quick.px}, _QUICK_FROM_PARENT)
    quick["parent"]["recipe"]["epochs"] = of_task.quick.parent_epochs
    quick["finals"]["recipe"]["epochs"] = of_task.quick.final_epochs
    return quick


def _from_scratch(preset: str, task: str) -> dict[str, Any]:
    """Return the settings of a preset in a search from scratch, with the recipe of the task."""
    recipe = read_recipe(task_of(task).usual.from_scratch).model_dump(mode="json")
    return merged({"preset": preset, "recipe": recipe}, PRESETS[preset])


def _task_in(own: Mapping[str, Any], overrides: Mapping[str, Any]) -> str:
    """Return the name of what is learned of the images that settings name.

    Raises:
        InputError: They are not annotated for the task that the settings name.
    """
    data: dict[str, Any] = {}
    for given in (own, overrides):
        if isinstance(given.get("data"), Mapping):
            data |= given["data"]
    source, task = data.get("source"), data.get("task")
    if not isinstance(source, str) or not isinstance(task, str | None):
        return CLASSIFY  # the images in the package, or reported when the settings are parsed
    from nas.data.finding import task_of_source  # imports torch

    return task_of_source(source, task)


def _require_effect(given: Mapping[str, Any], task: str, *, where: str) -> None:
    """Check the recipes in settings; see `unused_settings.require_effect`."""
    sections = {"": given, "parent.": given.get("parent"), "finals.": given.get("finals")}
    for prefix, section in sections.items():
        if isinstance(section, Mapping):
            require_effect(section.get("recipe"), task, where=f"{where}: {prefix}recipe")


def make_config(
    *,
    preset: str = "standard",
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    default_parent: str | None = None,
) -> SearchConfig:
    """Merge settings from a preset, then a file, then overrides; later ones take precedence key by key.

    Args:
        preset: A name in `PRESETS`.
        file: YAML in the schema of `SearchConfig`, such as a run's `config.yaml`.
        overrides: Nested settings, as from the command line.
        default_parent: The parent of a search whose settings do not say how it begins.

    Raises:
        InputError: An unknown preset, an unknown key, a wrong type or value, or a setting without effect.
    """
    if preset not in PRESETS:
        meant = {"fast": "quick", "default": "standard", "full": "standard"}.get(preset, preset)
        hint = did_you_mean(meant, PRESETS)
        raise InputError(f"unknown preset {preset!r}: known are {', '.join(PRESETS)}{hint}")
    own = {} if file is None else _layer(read_settings(file), where=str(file))
    default_parent = None if preset == "paper" else default_parent
    overrides = with_beginning(own, overrides or {}, default_parent=default_parent)
    given_parent = overrides.get("parent") or {}
    task = _task_in(own, overrides)
    for settings, where in ((own, str(file)), (overrides, "settings")):
        _require_effect(settings, task, where=where)
    given = _from_scratch(preset, task)
    if own.get("parent") or given_parent:
        given = merged(given, _from_parent(preset, task))
    if file is not None:
        given = merged(given, own)
        # Checked by itself, so that the file is not blamed for later errors.
        path = given_parent.get("path") or "?"
        checked = merged(given, {"parent": {"path": path}}) if given_parent else given
        parse_config(checked, where=str(file))
    if overrides:
        given = merged(given, _layer(overrides, where="settings"))
    return parse_config(given, where="settings")


def _layer(given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Normalize settings from one source, in which `device: cpu=8` and `target_ms: 8` are equivalent."""
    try:
        return with_targets(given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


_LENGTHS = frozenset({"epochs", "steps", "min_steps"})
"""Keys for the length of a recipe: setting one replaces the others."""


def _is_another(old: object, new: object) -> bool:
    """Return whether a different controller, optimizer or schedule is named."""
    names = [given.get("name") if isinstance(given, Mapping) else given for given in (old, new)]
    return None not in names and names[0] != names[1]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` overridden by the keys of `over`, merging nested mappings.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}})
    {'a': 1, 'b': {'c': 4, 'd': 3}}
    >>> merged({"schedule": {"name": "cosine", "final": 0.1}}, {"schedule": {"name": "constant"}})
    {'schedule': {'name': 'constant'}}
    """
    found = dict(base)
    for key, value in over.items():
        old = found.get(key)
        if key in NAMED and isinstance(old, str) and isinstance(value, Mapping):
            old = {"name": old}
        if key in ("controller", *NAMED) and _is_another(old, value):
            found[key] = value  # the options of another one do not apply
        elif isinstance(old, Mapping) and isinstance(value, Mapping) and key != "device":
            replaced = _LENGTHS if _LENGTHS & set(value) else frozenset()
            found[key] = merged({k: v for k, v in old.items() if k not in replaced}, value)
        else:
            found[key] = value
    return found
