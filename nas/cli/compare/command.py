"""`nas compare` and `nas ablate`: train networks alike, and say which is better."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nas.ablating.search_lists import SearchAblation
from nas.cli.compare.options import (
    AblateOptions,
    Asked,
    CompareOptions,
    CompareRecipeOptions,
)
from nas.cli.options.groups import with_groups
from nas.cli.options.run import FolderOptions
from nas.cli.options.schedule import ScheduleOptions
from nas.cli.options.task import HeadOptions
from nas.cli.typed import options_typed
from nas.display.output import messages
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.cli.compare.networks import Named
    from nas.comparing.config import CompareConfig

WITH_RESUME = {
    "resume", "as_json", "workers", "cpus_per_trial", "gpus_per_trial", "ray_address", "dry_run",
}  # fmt: skip
"""Options that may be given beside --resume."""

OF_SEARCHES = {"preset", "config", "trials", "target_ms", "parent", "from_scratch"}
OF_NETWORKS = {"at_latency", "rates", *(field.name for field in fields(CompareRecipeOptions))}
"""Options of `nas ablate` that apply to one kind of ablation only."""

OF_NAMED = {"at_latency", "data", "resolution"} | {
    field.name for of in (CompareRecipeOptions, HeadOptions) for field in fields(of)
}
"""Options that do not apply to a search and its rivals, which are trained as the search did."""


@with_groups
def compare(
    context: typer.Context,
    what: CompareOptions,
    recipe: CompareRecipeOptions,
    images: HeadOptions,
    schedule: ScheduleOptions,
    run: FolderOptions,
) -> None:
    """Train networks alike with several seeds, measure them together, and say which is better."""
    asked = Asked(what, recipe, images, schedule, run)
    if run.resume is not None:
        _require_changeable(context)
        _resume(run.resume, asked)
        return
    from nas.cli.compare import networks, of_search, settings  # import torch

    names = what.networks or []
    alone = len(names) == 1 and of_search.is_search_from_parent(names[0])
    if names and (alone or what.as_searched):
        _require_of(context, OF_NAMED, named=names[0], has="rivals")
        _compare(*of_search.open_search(names, asked), asked)
    else:
        named = networks.open_named(names, px=what.resolution)
        _compare(named, settings.settings_of(named, asked), asked)


@with_groups
def ablate(
    context: typer.Context,
    what: AblateOptions,
    recipe: CompareRecipeOptions,
    images: HeadOptions,
    schedule: ScheduleOptions,
    run: FolderOptions,
) -> None:
    """Compare networks, or searches, that differ in one thing each, as the papers' ablations do."""
    asked = Asked(what, recipe, images, schedule, run)
    if run.resume is not None:
        _require_changeable(context)
        from nas.cli.compare import searches  # imports torch

        if searches.is_of_searches(run.resume):
            searches.resume(run.resume, asked, messages())
        else:
            _resume(run.resume, asked)
        return
    from nas.ablating.reading import NAMES, read_ablation

    if what.ablation is None:
        raise InputError(f"give an ablation: {', '.join(NAMES)}, or a YAML file like theirs")
    ablation, folder = read_ablation(what.ablation)
    from nas.cli.compare import networks, searches, settings  # import torch

    if isinstance(ablation, SearchAblation):
        _require_of(context, OF_NETWORKS, named=what.ablation, has="searches")
        searches.begin(ablation, asked, messages())
    else:
        _require_of(context, OF_SEARCHES, named=what.ablation, has="networks")
        named = networks.of_ablation(ablation, folder, px=what.resolution)
        _compare(named, settings.settings_of(named, asked), asked)


def _compare(named: Sequence[Named], config: CompareConfig, asked: Asked) -> None:
    from nas.cli.compare import opening, running  # import torch

    console = messages()
    running.run(opening.begin(named, config, asked, console=console), asked.run, console)


def _resume(path: Path, asked: Asked) -> None:
    from nas.cli.compare import opening, running  # import torch

    console = messages()
    running.run(opening.resume(path, asked.schedule, console=console), asked.run, console)


def _require_of(context: typer.Context, others: Collection[str], *, named: str, has: str) -> None:
    """Refuse options that do not apply to what an ablation has.

    Raises:
        InputError: One of them is given.
    """
    for name in options_typed(context):
        if name in others:
            raise InputError(
                f"--{name.replace('_', '-')} does not apply to the {has} of {named}: leave it out"
            )


def _require_changeable(context: typer.Context) -> None:
    """Refuse options that cannot be combined with `--resume`.

    Raises:
        InputError: One cannot.
    """
    others = sorted(options_typed(context).keys() - WITH_RESUME)
    if others:
        named = {"networks": "the networks", "ablation": "the ablation"}
        option = named.get(others[0], f"--{others[0].replace('_', '-')}")
        raise InputError(f"--resume takes all settings from the run: leave {option} out")
