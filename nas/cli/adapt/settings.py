"""From the options of `netadapt` to a run's settings, and back to the options where one is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from nas.adapting.config import AdaptConfig
from nas.atomic_files import write_whole
from nas.cli.data_options import absolute
from nas.engine.run_folder import RunFolder
from nas.searching.config import as_begun
from search_spaces import InputError
from search_spaces.errors import first_problem

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
    "schedule.workers": "--workers",
    "seed": "--random-seed",
}
"""Options that are not called as their settings are."""

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
"""Options that an interrupted run may go on with otherwise, `final` and its own until a last network is
trained: the section and the name of each one's setting."""


def parse(given: Mapping[str, Any]) -> AdaptConfig:
    """Settings that were typed as options.

    Raises:
        InputError: A wrong type or value; the option is named.
    """
    if given.get("compare") == "uniform" and given.get("final") == "none":
        raise InputError(
            "--compare uniform, but --final none trains nothing to compare: give --final scratch, finetune "
            "or both"
        )
    try:
        return AdaptConfig.model_validate(given)
    except ValidationError as error:
        raise InputError(_as_typed(first_problem(error))) from error


USED_WITH = {
    "final_epochs": ("final", "scratch, finetune or both"),
    "final_learning_rate": ("final", "scratch, finetune or both"),
    "compare_seeds": ("compare", "uniform"),
}
"""Options that say nothing unless another has one of these values."""


def require_used(typed: Iterable[str], config: AdaptConfig) -> None:
    """Refuse options that would change nothing.

    Args:
        typed: Names of the options that were given.
        config: What came of them.

    Raises:
        InputError: One would not.
    """
    for name in typed:
        other, values = USED_WITH.get(name, ("", ""))
        if other and getattr(config, other) == "none":
            raise InputError(
                f"{_option(name)} changes nothing with {_option(other)} none: leave it out, or give "
                f"{_option(other)} {values}"
            )


def _as_typed(problem: str) -> str:
    """A finding with the option's name in place of the setting's."""
    where, colon, reason = problem.partition(": ")
    if not colon or not (where in OPTIONS or where in AdaptConfig.model_fields):
        return problem
    return f"{OPTIONS.get(where, _option(where))} {reason}"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def require_changeable(typed: list[str]) -> None:
    """Refuse options that cannot stand beside `--resume`.

    Raises:
        InputError: One cannot.
    """
    for name in typed:
        if name == "dry_run":
            raise InputError("--dry-run is for a new run: leave it out beside --resume")
        if name not in (*MAY_CHANGE, "resume", "as_json", "accept_data_changes"):
            raise InputError(f"{_option(name)} cannot change on --resume: a run keeps its settings")


def changed(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> AdaptConfig:
    """A run's settings with other values for some options: see `MAY_CHANGE`.

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
    """Write a run's settings."""
    import yaml

    config = config.model_copy(update={"data": absolute(config.data)})
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(folder / "config.yaml", settings)


def kept(folder: RunFolder) -> AdaptConfig:
    """The settings that a run's folder has.

    Raises:
        InputError: None of NetAdapt, or damaged ones.
    """
    from search_spaces.spec import read_yaml

    path = folder / "config.yaml"
    if not path.exists() and (folder / "plans").is_dir():
        raise InputError(
            f"{folder.path}: this run was begun from Python: go on with it there, by the same call of adapt"
        )
    content = read_yaml(path)
    if not isinstance(content, dict) or "delta" not in content:
        raise InputError(f"{folder.path}: not a NetAdapt run's folder: give one that netadapt made")
    try:
        return AdaptConfig.model_validate(as_begun(content))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from error
