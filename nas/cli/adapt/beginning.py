"""Begin or resume a run of NetAdapt, as `netadapt` does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from nas.adapting.forecast import Forecast
from nas.cli.adapt import opening, settings
from nas.cli.adapt.options import TargetOptions
from nas.cli.adapt.planning import announce, seed_latency
from nas.cli.options.run import RunOptions
from nas.data.embedded import NAME, embedded_name
from nas.display.output import print_json
from nas.engine.folder.run_folder import RunFolder, check_new, free_name, require_writable
from nas.tasks import task_of_spec
from search_spaces import InputError


class Begun(NamedTuple):
    """A run that is ready to go; the forecast is None if there is none."""

    job: opening.Adapting
    folder: RunFolder
    forecast: Forecast | None


def begin(
    target: TargetOptions,
    given: Mapping[str, Any],
    typed: Mapping[str, Any],
    run: RunOptions,
    console: Console,
) -> Begun | None:
    """Print the plan of a new run and create its folder; None for a dry run, or if there is nothing to do.

    Args:
        target: The network, its images, and the target; one target is given.
        given: The other settings.
        typed: The options given on the command line.
        run: The options of the run's folder.
        console: Shows progress.

    Raises:
        InputError: An option is invalid or has no effect, an input cannot be opened, or two do not fit.
    """
    if target.seed is None:
        raise InputError("give --seed with a trained network, or --resume with a run's folder")
    given = {**given, "data": {"source": target.data or NAME, **given["data"]}}
    # Report bad input before anything slow.
    device = "cpu" if target.device is None else target.device
    target_ms = 1.0 if target.target_ms is None else target.target_ms  # until the seed is measured
    assumed = settings.parse({**given, "device": device, "target_ms": target_ms})
    settings.require_used(typed, assumed)
    target.require_device()
    if run.run_name is not None:
        check_new(run.runs, run.run_name)
    if not run.dry_run:
        require_writable(run.runs)
    job = _opened(target.seed, target, given, console)
    forecast, document = announce(job)
    if run.dry_run or document["nothing_to_do"]:
        if run.as_json:
            print_json(document)
        return None
    name = run.run_name or free_name(run.runs, f"netadapt-{datetime.now():%Y%m%d-%H%M%S}")
    return Begun(job, opening.start(run.runs, name, job), forecast)


def _opened(
    seed: Path, target: TargetOptions, given: Mapping[str, Any], console: Console
) -> opening.Adapting:
    """Open the inputs, and measure the seed if the target is a fraction of its latency."""
    network = opening.open_seed(seed)
    if target.data is None:
        ours = embedded_name(network.usage.classes)
        if ours is None:
            raise InputError(
                f"{seed} was not trained on the embedded images: give --data with its training images"
            )
        given = {**given, "data": {**given["data"], "source": ours}}
    teacher = opening.open_teacher(given.get("teacher"), network)
    device = network.device or "cpu" if target.device is None else target.device
    source = opening.open_source(device, network.spec)
    target_ms = target.target_ms
    if target.target_ratio is not None:
        target_ms = target.target_ratio * seed_latency(source, network.spec, console).median_ms
    task = task_of_spec(network.spec)
    config = settings.parse({**given, "device": device, "target_ms": target_ms}, task)
    return opening.open_adapting(config, network, source, console, path=seed, teacher=teacher)


def resume(path: Path, typed: Mapping[str, Any], run: RunOptions, console: Console) -> Begun:
    """Reopen a run, with the options in `settings.MAY_CHANGE` changed.

    Args:
        path: The run's folder.
        typed: The options given on the command line.
        run: The options of the run's folder.
        console: Shows progress.

    Raises:
        InputError: An option cannot change, or see `opening.reopen`.
    """
    settings.require_changeable(typed)
    changes = {name: value for name, value in typed.items() if name in settings.MAY_CHANGE}
    job, folder = opening.reopen(
        path, changes, console, accept_data_changes=run.accept_data_changes
    )
    return Begun(job, folder, None)
