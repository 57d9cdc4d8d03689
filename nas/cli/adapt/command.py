"""`netadapt`: narrow a trained network to a latency."""

from __future__ import annotations

import time

import typer

from nas.cli.adapt.options import StepOptions, TargetOptions, TrainingOptions
from nas.cli.options.data import ImageOptions
from nas.cli.options.groups import with_groups
from nas.cli.options.run import RunOptions
from nas.cli.typed import options_typed
from nas.display.output import messages, print_json


@with_groups
def netadapt(
    context: typer.Context,
    target: TargetOptions,
    steps: StepOptions,
    training: TrainingOptions,
    images: ImageOptions,
    run: RunOptions,
) -> None:
    """Narrow a trained network, group by group, until it meets a latency target on a device."""
    console, typed, began_s = messages(), options_typed(context), time.monotonic()
    from nas.cli.adapt import beginning  # a tenth of a second, too long for --help

    if run.resume is None:
        run.require_resumed()
        target.require_one_target()
        given = steps.settings() | training.settings() | {"data": images.settings()}
        begun = beginning.begin(target, given, typed, run, console)
    else:
        begun = beginning.resume(run.resume, typed, run, console)
    if begun is None:
        return
    result = begun.job.run(begun.folder, begun.forecast, began_s=began_s)
    if run.as_json:
        print_json({"run": str(begun.folder.path)} | result.to_dict())
