"""What is said before a search begins: what it is about to do and what it will cost."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from rich.table import Table

from latency import MeasurementError
from nas.cli.job import Job
from nas.cli.live import minutes
from nas.config import ScheduleConfig, SearchConfig, parse_config
from nas.plan import Span, estimate_cost, measure_span
from nas.readable import counted, networks, three_digits
from search_spaces import InputError

FEW_STEPS = 30
"""A training of fewer steps tells little about a network."""


def plan(job: Job) -> tuple[Job, dict[str, Any]]:
    """Say what the search is about to do and what it will cost.

    Returns:
        The search with its target set, and what was said as plain data.

    Raises:
        InputError: The device cannot measure the space's networks, or this machine has not the cores
            or GPUs asked for.
    """
    config, console = job.config, job.console
    _check_machine(config.schedule)
    with console.status("") as status:

        def progress(done: int, total: int) -> None:
            status.update(f"measuring what the space spans on the device, {done} of {total}")

        try:
            span = measure_span(job.space, job.source, progress=progress)
        except MeasurementError as error:
            raise InputError(f"device {config.device}: {error}: choose another --device") from error
        target = config.target_ms or span.references["mobilenet_v3_large"].median_ms
        status.update("timing a few training steps")
        workers = _workers(config)
        cost = None
        if config.schedule.ray_address is None and config.schedule.gpus_per_trial == 0:
            cost = estimate_cost(
                config,
                span,
                train_images=len(job.data.train),
                val_images=len(job.data.val),
                px=job.data.resolution_px,
                workers=workers or 1,
            )
    lines = _facts(job, span, target)
    if cost is not None:
        on = f"on {counted(workers, 'worker')}" if workers else "in this process"
        lines["cost"] = (
            f"about {minutes(cost.total_s)} {on}: "
            f"{counted(config.trials, 'trial')} {minutes(cost.trials_s)}, "
            f"{counted(config.finals.count, 'finalist')} {minutes(cost.finals_s)}, "
            f"latency {minutes(cost.latency_s)}"
        )
    console.print(_grid(lines))
    verdict = span.verdict(target)
    if verdict is not None:
        console.print(f"[bold]The target does not bind:[/bold] {verdict}")
    warnings = _warnings(job)
    for warning in warnings:
        console.print(f"[bold]Mind:[/bold] {warning}")
    settings = config.model_dump(mode="json") | {"target_ms": target}
    expected = None if cost is None else cost.total_s
    planned = replace(job, config=parse_config(settings, where="settings"), expected_s=expected)
    return planned, {
        "space": {"name": job.space.name, "networks": job.space.size},
        "device": job.source.device.name,
        "target_ms": target,
        "target_binds": verdict is None,
        "fastest_ms": span.fastest_ms,
        "slowest_ms": span.slowest_ms,
        "references_ms": {name: r.median_ms for name, r in span.references.items()},
        "expected_s": expected,
        "warnings": warnings,
    }


def _warnings(job: Job) -> list[str]:
    """What a search can do, and its user perhaps did not want."""
    config, warnings = job.config, []
    if config.batch_size >= config.trials and config.controller.name != "uniform":
        warnings.append(
            f"a batch of {config.batch_size} is the whole search, so the controller learns nothing: "
            "give a smaller --batch-size"
        )
    steps = config.recipe.total_steps(len(job.data.train))
    if steps < FEW_STEPS:
        warnings.append(
            f"a trial trains for {counted(steps, 'step')} only: set recipe.epochs or a smaller "
            "recipe.batch_size with --config"
        )
    return warnings


def _check_machine(schedule: ScheduleConfig) -> None:
    """Refuse what this machine has not got; a cluster is asked when it is joined."""
    if schedule.ray_address is not None:
        return
    cores = os.cpu_count() or 1
    if schedule.cpus_per_trial > cores:
        raise InputError(
            f"cpus_per_trial is {schedule.cpus_per_trial}, but this machine has {cores}: give fewer"
        )
    if schedule.gpus_per_trial > 0:
        import torch

        gpus = torch.cuda.device_count()
        if schedule.gpus_per_trial > gpus:
            raise InputError(
                f"gpus_per_trial is {schedule.gpus_per_trial:g}, but torch sees {gpus} GPUs here: give "
                "fewer, or --ray-address of a cluster that has some"
            )


def _facts(job: Job, span: Span, target: float) -> dict[str, str]:
    data, space, config = job.data, job.space, job.config
    beside = ", ".join(
        f"{_title(name)} {three_digits(reading.median_ms)} ms"
        for name, reading in span.references.items()
    )
    kind = "not measured: " if job.source.device.estimate else ""
    why = "" if config.target_ms else ", MobileNetV3-Large's here (--target-ms sets it)"
    return {
        "space": f"{space.name}: {len(space.arities)} decisions, {networks(space.size)}",
        "data": (
            f"{data.name}: {len(data.classes)} classes, {len(data.train)} images to train on, "
            f"{len(data.val)} held out, {len(data.test)} to test, {data.resolution_px} px"
        ),
        "device": kind + job.source.device.name,
        "latency": (
            f"{three_digits(span.fastest_ms)} to {three_digits(span.slowest_ms)} ms "
            f"at {config.resolution} px "
            f"({len(span.networks)} networks looked at); {beside}"
        ),
        "target": f"{three_digits(target)} ms{why}",
        "search": (
            f"{config.controller.name}, {counted(config.trials, 'trial')} in batches of "
            f"{config.batch_size}, "
            f"{config.reward.kind} reward, seed {config.seed}"
        ),
    }


def _grid(lines: dict[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        grid.add_row(f"[bold]{name}[/bold]", text)
    return grid


def _title(name: str) -> str:
    """`mobilenet_v3_large` as people write it."""
    return (
        name.replace("mobilenet_v", "MobileNetV")
        .replace("_large", "-Large")
        .replace("_small", "-Small")
    )


def _workers(config: SearchConfig) -> int:
    if config.schedule.workers is not None:
        return config.schedule.workers
    return max(1, (os.cpu_count() or 1) // config.schedule.cpus_per_trial)
