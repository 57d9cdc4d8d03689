"""`nas-search`: search a space for a network."""

from __future__ import annotations

import time
from typing import Any

import typer

from nas.cli.options.groups import with_groups
from nas.cli.options.schedule import ScheduleOptions
from nas.cli.options.task import HeadOptions
from nas.cli.search.options import (
    DEFAULT_PARENT,
    MAY_CHANGE,
    ProcedureOptions,
    SearchRunOptions,
    TargetOptions,
    search_overrides,
)
from nas.cli.typed import options_typed
from nas.display.output import messages
from nas.searching.presets import make_config
from search_spaces import InputError


@with_groups
def search(
    context: typer.Context,
    target: TargetOptions,
    procedure: ProcedureOptions,
    images: HeadOptions,
    schedule: ScheduleOptions,
    run: SearchRunOptions,
) -> None:
    """Search a space for the most accurate network within a latency target on a device."""
    procedure.require_one_end()
    run.require_resumed()
    overrides = search_overrides(target, procedure, images, schedule)
    if run.resume is not None:
        _require_changeable(options_typed(context))
    console, began_s = messages(), time.monotonic()
    from nas.cli.search import running  # a tenth of a second, too long for --help

    if run.resume is None:
        preset = procedure.preset or "standard"
        config = make_config(
            preset=preset,
            file=procedure.config,
            overrides=overrides,
            default_parent=None if target.from_scratch else DEFAULT_PARENT,
        )
        begun = running.begin(config, run, console)
    else:
        begun = running.resume(run.resume, run, schedule.settings(), images.settings(), console)
    if begun is not None:
        running.finish(*begun, run, began_s=began_s)


def _require_changeable(typed: dict[str, Any]) -> None:
    """Refuse options that cannot be combined with `--resume`.

    Raises:
        InputError: One cannot.
    """
    fixed = [name for name in typed if name not in MAY_CHANGE]
    if fixed:
        option = "--" + fixed[0].replace("_", "-")
        raise InputError(f"{option} cannot change on --resume: a run keeps its settings")
