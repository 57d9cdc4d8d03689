"""`netadapt`: narrow a trained network to a latency."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.adapting.config import FINETUNE_STEPS
from nas.cli.data_options import (
    AcceptFlag,
    LayoutOption,
    MegapixelsOption,
    SkipFlag,
    data_settings,
)
from nas.cli.typed import options_typed
from nas.display.output import JsonFlag, messages, print_json
from nas.engine.run_folder import check_new, free_name, require_writable
from nas.searching.targets import aim
from nas.training.recipe import Recipe
from netadapt.settings import TOLERANCE
from search_spaces import InputError


def netadapt(
    context: typer.Context,
    seed: Annotated[
        Path | None, typer.Option(help="The trained network, such as a run's seed.pt.")
    ] = None,
    target_ms: Annotated[
        float | None, typer.Option(help="Target latency in ms on the device.")
    ] = None,
    target_ratio: Annotated[
        float | None,
        typer.Option(help="Target as a fraction of the trained network's latency: 0.5 halves it."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Device to measure on (see nas devices); default: the seed's device, or cpu."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="The images that the network was trained on.", show_default=False),
    ] = None,
    layout: LayoutOption = None,
    max_megapixels: MegapixelsOption = None,
    skip_bad_images: SkipFlag = False,
    delta: Annotated[
        float,
        typer.Option(
            help="Fraction of the seed's latency that a step saves (MobileNetV3 paper: 0.01)."
        ),
    ] = 0.1,
    decay: Annotated[float, typer.Option(help="Factor on delta after each step.")] = 1.0,
    divisor: Annotated[int, typer.Option(help="Round widths to multiples of this.")] = 8,
    floor: Annotated[int, typer.Option(help="Minimum width.")] = 8,
    keep: Annotated[
        str, typer.Option(metavar="first|norm", help="Which channels to keep.")
    ] = "first",
    metric: Annotated[
        str,
        typer.Option(
            metavar="ratio|accuracy", help="Choose proposals by dACC/|dLAT|, or by accuracy."
        ),
    ] = "ratio",
    ends: Annotated[
        bool, typer.Option("--ends", help="Also narrow the stem and the head.")
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option(
            help="Fraction of the target that the result may be below it; if further below, it is widened "
            "again. 1 never widens."
        ),
    ] = TOLERANCE,
    finetune_steps: Annotated[
        int, typer.Option(help="Fine-tuning steps per proposal.")
    ] = FINETUNE_STEPS,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 128,
    learning_rate: Annotated[
        float, typer.Option(help="Peak learning rate of fine-tuning a proposal.")
    ] = 1e-3,
    final: Annotated[
        str,
        typer.Option(metavar="scratch|finetune|both|none", help="How to train the final network."),
    ] = "scratch",
    final_epochs: Annotated[float, typer.Option(help="Epochs of the final training.")] = 30.0,
    final_learning_rate: Annotated[
        float,
        typer.Option(
            help="Peak learning rate of the final training; with --final finetune, default --learning-rate."
        ),
    ] = Recipe().learning_rate,
    compare: Annotated[
        str,
        typer.Option(
            metavar="none|uniform",
            help="Compare with the seed at a uniform width multiplier of the same latency.",
        ),
    ] = "none",
    compare_seeds: Annotated[int, typer.Option(help="Trainings of each network compared.")] = 3,
    workers: Annotated[
        int | None,
        typer.Option(help="Proposals trained at once; 0 trains in this process, without Ray."),
    ] = None,
    random_seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    run_name: Annotated[str | None, typer.Option(help="Name of the run's folder.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(help="Resume the interrupted run in this folder.")
    ] = None,
    accept_data_changes: AcceptFlag = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost, then exit.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Narrow a trained network, one width group at a time, until it meets a latency target on a device."""
    from nas.cli.adapt import opening, settings
    from nas.cli.adapt.planning import announce, seed_latency
    from nas.data.embedded import NAME, embedded_classes

    console, typed, began_s = messages(), options_typed(context), time.monotonic()
    images = data_settings(
        layout=layout, max_megapixels=max_megapixels, skip_bad_images=skip_bad_images
    )
    if resume is not None:
        job, folder = opening.reopen(
            resume, _changes(context, typed), console, accept_data_changes=accept_data_changes
        )
        forecast = None
    else:
        if accept_data_changes:
            raise InputError("--accept-data-changes applies to a resumed run: add --resume RUN")
        _require_one_target(target_ms, target_ratio)
        if seed is None:
            raise InputError("give --seed with a trained network, or --resume with a run's folder")
        given = {
            "device": "cpu" if device is None else device,
            "target_ms": 1.0 if target_ms is None else target_ms,  # until the seed is measured
            "delta": delta,
            "decay": decay,
            "divisor": divisor,
            "floor": floor,
            "keep": keep,
            "metric": metric,
            "ends": ends,
            "tolerance": tolerance,
            "recipe": {
                "steps": finetune_steps,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
            },
            "final": final,
            "final_recipe": {
                "epochs": final_epochs,
                "batch_size": batch_size,
                "learning_rate": final_learning_rate,
            },
            "compare": compare,
            "compare_seeds": compare_seeds,
            "data": {"source": data or NAME, **images},
            "schedule": {"workers": workers},
            "seed": random_seed,
        }
        # Report bad input before anything slow.
        settings.require_used(typed, settings.parse(given))
        _require_device(device)
        if run_name is not None:
            check_new(runs, run_name)
        if not dry_run:
            require_writable(runs)
        network = opening.open_seed(seed)
        if data is None and network.usage.classes != embedded_classes():
            raise InputError(
                f"{seed} was not trained on the embedded images: give --data with its training images"
            )
        if device is None:
            device = network.device or "cpu"
        source = opening.open_source(device, network.spec)
        if target_ratio is not None:
            target_ms = target_ratio * seed_latency(source, network.spec, console).median_ms
        config = settings.parse(given | {"device": device, "target_ms": target_ms})
        job = opening.open_adapting(config, network, source, console, path=seed)
        forecast, document = announce(config, job.seed, job.data, source, console)
        if dry_run or document["nothing_to_do"]:
            if as_json:
                print_json(document)
            return
        name = run_name or free_name(runs, f"netadapt-{datetime.now():%Y%m%d-%H%M%S}")
        folder = opening.start(runs, name, job)
    result = job.run(folder, forecast, began_s=began_s)
    if as_json:
        print_json({"run": str(folder.path)} | result.to_dict())


def _require_one_target(target_ms: float | None, target_ratio: float | None) -> None:
    """Check that one valid target is given.

    Raises:
        InputError: There is none, there are two, or the ratio is out of range.
    """
    from nas.cli.adapt.opening import require_ratio

    if target_ms is not None and target_ratio is not None:
        raise InputError("--target-ms and --target-ratio both set the target: give one of them")
    if target_ms is None and target_ratio is None:
        raise InputError(
            "give --seed with --target-ms or --target-ratio, or --resume with a run's folder"
        )
    if target_ratio is not None:
        require_ratio(target_ratio)


def _require_device(device: str | None) -> None:
    """Check the name given by `--device`, before the device is opened.

    Raises:
        InputError: It is empty, or has a target appended as in a search.
    """
    if device is None:
        return
    if not device:
        raise InputError("--device is empty: leave it out, or give one that nas devices lists")
    name, target_ms = aim(device, alone=True)
    if target_ms is not None:
        raise InputError(
            f"--device {device} contains a target, as in a search for several devices: give "
            f"--device {name} --target-ms {target_ms:g}"
        )


def _changes(context: typer.Context, typed: list[str]) -> dict[str, Any]:
    """Return the settings given together with `--resume`.

    Raises:
        InputError: One of them cannot change.
    """
    from nas.cli.adapt.settings import MAY_CHANGE, require_changeable

    require_changeable(typed)
    return {name: context.params[name] for name in typed if name in MAY_CHANGE}
