"""From settings to a running search: what is opened, what is said before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from controllers import Controller, make_controller
from latency import Cached, LatencySource, MeasurementError, open_device
from nas.cli.live import LiveView, minutes
from nas.config import SearchConfig, config_yaml, load_config, parse_config
from nas.plan import Span, estimate_cost, measure_span
from nas.results import SearchResult
from nas.runs import RunFolder, new_folder, open_folder, write_whole
from search_spaces import FactorizedSpace, InputError, load_space

if TYPE_CHECKING:
    from nas.training.images import Dataset


@dataclass(frozen=True)
class Job:
    """A search with everything that it needs opened."""

    config: SearchConfig
    space: FactorizedSpace
    source: LatencySource
    data: Dataset
    console: Console

    def run(self, folder: RunFolder) -> SearchResult:
        """Search, with a live view; Ctrl-C tells how to go on."""
        from nas.pipeline import search
        from nas.watch import Several, TensorBoard

        config = self.config
        assert config.target_ms is not None
        controller = _controller(config, self.space)
        view = LiveView(self.console, config)
        with folder.locked(), view.shown():
            board = TensorBoard(folder / "tensorboard")
            try:
                return search(
                    self.space,
                    controller=controller,
                    latency=self.source,
                    data=self.data,
                    target_ms=config.target_ms,
                    folder=folder.path,
                    recipe=config.recipe,
                    reward=config.reward,
                    trials=config.trials,
                    batch_size=config.batch_size,
                    finals=config.finals,
                    schedule=config.schedule,
                    seed=config.seed,
                    watcher=Several(view, board),
                )
            finally:
                board.close()


def open_job(config: SearchConfig, console: Console) -> Job:
    """Open what a search needs, so that bad input is found before anything is written.

    Raises:
        InputError: Something cannot be opened, or does not fit together.
    """
    source: LatencySource = open_device(config.device)
    if not source.device.estimate:
        source = Cached(source)
    load_space(config.space, resolution=config.resolution)  # found wanting before images are read
    data = _open_data(config, console)
    space = load_space(config.space, resolution=config.resolution, classes=len(data.classes))
    _controller(config, space)
    return Job(config, space, source, data, console)


def _controller(config: SearchConfig, space: FactorizedSpace) -> Controller:
    chosen = config.controller
    return make_controller(chosen.name, space.arities, seed=config.seed, options=chosen.options)


def _open_data(config: SearchConfig, console: Console) -> Dataset:
    from nas.training.images import require_batch
    from nas.training.load import load_dataset

    wanted = config.data
    with console.status("reading images") as status:
        data = load_dataset(
            wanted.source,
            resolution_px=wanted.proxy_resolution,
            memory_limit_mb=wanted.memory_limit_mb,
            val_fraction=wanted.val_fraction,
            test_fraction=wanted.test_fraction,
            seed=wanted.split_seed,
            progress=lambda done, total: status.update(f"reading images, {done} of {total}"),
        )
    require_batch(data, config.recipe.batch_size)
    return data


def plan(job: Job) -> Job:
    """Say what the search is about to do and what it will cost; returns it with its target set.

    Raises:
        InputError: The device cannot measure the space's networks.
    """
    config, console = job.config, job.console
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
        on = f"{workers} workers" if workers else "this process"
        lines["cost"] = (
            f"about {minutes(cost.total_s)} on {on}: {config.trials} trials {minutes(cost.trials_s)}, "
            f"{config.finals.count} finalists {minutes(cost.finals_s)}, "
            f"latency {minutes(cost.latency_s)}"
        )
    console.print(_grid(lines))
    if (warning := span.verdict(target)) is not None:
        console.print(f"[bold]The target does not bind:[/bold] {warning}")
    settings = config.model_dump(mode="json") | {"target_ms": target}
    return Job(parse_config(settings, where="settings"), job.space, job.source, job.data, console)


def _facts(job: Job, span: Span, target: float) -> dict[str, str]:
    data, space, config = job.data, job.space, job.config
    beside = ", ".join(
        f"{_title(name)} {reading.median_ms:.3g} ms" for name, reading in span.references.items()
    )
    kind = "an estimate, not a measurement: " if job.source.device.estimate else ""
    why = "" if config.target_ms else ", MobileNetV3-Large's here (--target-ms sets it)"
    return {
        "space": f"{space.name}: {len(space.arities)} decisions, {space.size:.2g} networks",
        "data": (
            f"{data.name}: {len(data.classes)} classes, {len(data.train)} images to train on, "
            f"{len(data.val)} held out, {len(data.test)} to test, {data.resolution_px} px"
        ),
        "device": kind + job.source.device.name,
        "latency": (
            f"{span.fastest_ms:.3g} to {span.slowest_ms:.3g} ms at {config.resolution} px "
            f"({len(span.networks)} networks looked at); {beside}"
        ),
        "target": f"{target:.3g} ms{why}",
        "search": (
            f"{config.controller.name}, {config.trials} trials in batches of {config.batch_size}, "
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


def start(job: Job, runs: Path, name: str) -> RunFolder:
    """Make the run's folder, with its settings in it."""
    folder = new_folder(runs, name)
    write_whole(folder / "config.yaml", config_yaml(job.config))
    return folder


def reopen(path: Path, schedule: dict[str, Any], console: Console) -> tuple[Job, RunFolder]:
    """An interrupted run, as it was but for where its trials train."""
    folder = open_folder(path)
    config = load_config(folder / "config.yaml")
    kept = config.model_dump(mode="json")
    kept["schedule"] |= schedule
    return open_job(parse_config(kept, where=str(folder / "config.yaml")), console), folder


def conclude(result: SearchResult, console: Console) -> None:
    """The best candidates, where the files lie, the next command."""
    finalists = [trial for trial in result.finals if trial.kind == "final" and trial.ok]
    table = Table(title="finalists", pad_edge=False)
    for title in ("trial", "accuracy", "latency ms", "95% interval", "params", "MAdds", ""):
        table.add_column(title, justify="right")
    for trial in sorted(finalists, key=lambda t: -(t.accuracy or 0)):
        assert trial.latency is not None
        low, high = trial.latency.ci95_ms
        table.add_row(
            str(trial.index),
            f"{100 * (trial.accuracy or 0):.1f}%",
            f"{trial.latency_ms:.3f}",
            f"{low:.3f} - {high:.3f}",
            f"{trial.params / 1e6:.2f}M",
            f"{trial.madds / 1e6:.0f}M",
            "the winner" if trial.index == result.winner.index else "",
        )
    console.print(table)
    if not result.within_target:
        console.print(
            f"[bold]No finalist is within {result.target_ms:.3g} ms[/bold]; this is the best reward."
        )
    if result.test_accuracy is not None:
        console.print(f"on the test images, looked at once: {100 * result.test_accuracy:.1f}%")
    if result.noise is not None:
        console.print(result.noise.sentence())
    folder = result.folder.path
    console.print(
        f"\n{folder}/ has best.yaml, best.onnx, seed.pt, pareto.csv, report.html, trials.jsonl\n"
        f"next: nas show {folder}/best.yaml",
        soft_wrap=True,
    )
