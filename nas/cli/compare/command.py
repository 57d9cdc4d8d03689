"""`nas compare` and `nas ablate`: train networks alike, and say which is better."""

from __future__ import annotations

import typer

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

WITH_RESUME = {
    "resume", "as_json", "workers", "cpus_per_trial", "gpus_per_trial", "ray_address", "dry_run",
}  # fmt: skip
"""Options that may be given beside --resume."""


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
    _compare(context, Asked(what, recipe, images, schedule, run))


@with_groups
def ablate(
    context: typer.Context,
    what: AblateOptions,
    recipe: CompareRecipeOptions,
    images: HeadOptions,
    schedule: ScheduleOptions,
    run: FolderOptions,
) -> None:
    """Compare networks that differ in one thing each, as in the tables of MobileNetV3's paper."""
    _compare(context, Asked(what, recipe, images, schedule, run))


def _compare(context: typer.Context, asked: Asked) -> None:
    console, run = messages(), asked.run
    if run.resume is not None:
        _require_changeable(context)
    from nas.cli.compare import networks, opening, running  # import torch

    if run.resume is not None:
        job = opening.resume(run.resume, asked.schedule, console=console)
    else:
        job = opening.begin(networks.open_networks(asked.what), asked, console=console)
    running.run(job, run, console)


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
