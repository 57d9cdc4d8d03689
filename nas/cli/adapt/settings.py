"""Convert options of `netadapt` to a run's settings; name the option if one is invalid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from nas.adapting.config import AdaptConfig
from nas.adapting.defaults import with_defaults
from nas.atomic_files import write_whole
from nas.cli.options.data import absolute
from nas.engine.folder.run_folder import RunFolder
from nas.searching.config import as_begun
from nas.tasks import CLASSIFY
from search_spaces import InputError
from search_spaces.errors import first_problem
from search_spaces.spec import read_yaml

OPTIONS = {
    "recipe.steps": "--finetune-steps",
    "recipe.batch_size": "--batch-size",
    "recipe.learning_rate": "--learning-rate",
    "final_recipe.epochs": "--final-epochs",
    "final_recipe.batch_size": "--batch-size",
    "final_recipe.learning_rate": "--final-learning-rate",
    "data.source": "--data",
    "data.layout": "--layout",
    "data.max_megapixels": "--max-megapixels",
    "data.memory_limit_mb": "--memory-limit-mb",
    "data.decoding_workers": "--decoding-workers",
    "schedule.workers": "--workers",
    "seed": "--random-seed",
}
"""Settings whose option has a different name."""

MAY_CHANGE = {
    "workers": ("schedule", "workers"),
    "compare": ("", "compare"),
    "compare_seeds": ("", "compare_seeds"),
    "final": ("", "final"),
    "final_epochs": ("final_recipe", "epochs"),
    "final_learning_rate": ("final_recipe", "learning_rate"),
    "skip_bad_images": ("data", "skip_bad_images"),
    "max_megapixels": ("data", "max_megapixels"),
}
"""Options that may change on `--resume`: the section and name of each setting. `final` and its options may
change until a final training has finished."""


def parse(given: Mapping[str, Any], task: str = CLASSIFY) -> AdaptConfig:
    """Build the settings from options.

    Args:
        given: All settings, or those that do not depend on the task.
        task: Name of what the network has learned, for the others.

    Raises:
        InputError: A wrong type or value; the message names the option.
    """
    if given.get("compare") == "uniform" and given.get("final") == "none":
        raise InputError(
            "--compare uniform needs a final training, got --final none: give --final scratch, finetune or "
            "both"
        )
    if given.get("teach_proposals") and given.get("teacher") is None:
        raise InputError(
            "--teach-proposals has no effect without a teacher: add --teacher FILE or seed"
        )
    try:
        return AdaptConfig.model_validate(with_defaults(given, task))
    except ValidationError as error:
        raise InputError(_as_typed(first_problem(error))) from error


USED_WITH = {
    "final_epochs": ("final", "scratch, finetune or both"),
    "final_learning_rate": ("final", "scratch, finetune or both"),
    "teacher": ("final", "scratch, finetune or both"),
    "compare_seeds": ("compare", "uniform"),
}
"""Options that have no effect unless another option has one of these values."""


def require_used(typed: Iterable[str], config: AdaptConfig) -> None:
    """Refuse options that have no effect.

    Args:
        typed: Names of the options given.
        config: The resulting settings.

    Raises:
        InputError: An option has no effect.
    """
    for name in typed:
        if name == "teacher" and config.teach_proposals:
            continue
        other, values = USED_WITH.get(name, ("", ""))
        if other and getattr(config, other) == "none":
            raise InputError(
                f"{_option(name)} has no effect with {_option(other)} none: leave it out, or give "
                f"{_option(other)} {values}"
            )


def _as_typed(problem: str) -> str:
    """Replace the setting's name in a message by the option's."""
    where, colon, reason = problem.partition(": ")
    if not colon or not (where in OPTIONS or where in AdaptConfig.model_fields):
        return problem
    return f"{OPTIONS.get(where, _option(where))} {reason}"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def require_changeable(typed: Iterable[str]) -> None:
    """Refuse options that cannot be combined with `--resume`.

    Raises:
        InputError: One cannot.
    """
    for name in typed:
        if name == "dry_run":
            raise InputError("--dry-run applies to a new run: leave it out with --resume")
        if name not in (*MAY_CHANGE, "resume", "as_json", "accept_data_changes"):
            raise InputError(f"{_option(name)} cannot change on --resume: a run keeps its settings")


def changed(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> AdaptConfig:
    """Return a run's settings with changed options; see `MAY_CHANGE`.

    Raises:
        InputError: A wrong value.
    """
    settings = dict(kept)
    for option, value in changes.items():
        section, name = MAY_CHANGE[option]
        if section:
            settings[section] = {**settings.get(section, {}), name: value}
        else:
            settings[name] = value
    return parse(settings)


def keep(folder: RunFolder, config: AdaptConfig) -> None:
    """Write a run's settings to its folder."""
    config = config.model_copy(update={"data": absolute(config.data)})
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(folder / "config.yaml", settings)


def kept(folder: RunFolder) -> AdaptConfig:
    """Read the settings of a run's folder.

    Raises:
        InputError: It is not a NetAdapt run, or its settings are damaged.
    """
    path = folder / "config.yaml"
    if not path.exists() and (folder / "plans").is_dir():
        raise InputError(
            f"{folder.path}: this run was started from Python: resume it there with the same call of adapt"
        )
    content = read_yaml(path)
    if not isinstance(content, dict) or "delta" not in content:
        raise InputError(
            f"{folder.path}: not the folder of a NetAdapt run: give one created by netadapt"
        )
    try:
        return AdaptConfig.model_validate(as_begun(content))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from error
