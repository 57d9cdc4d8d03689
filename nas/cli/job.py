"""From settings to a running search: what is opened, what is said before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from controllers import Controller, make_controller
from latency import Cached, LatencySource, open_device
from nas.cli.images import open_images
from nas.cli.live import LiveView
from nas.cli.output import command
from nas.config import SearchConfig, config_yaml, load_config, parse_config
from nas.readable import counted, interval, three_digits
from nas.results import SearchResult
from nas.runs import RunFolder, new_folder, open_folder, write_whole
from nas.trial import Trial
from search_spaces import FactorizedSpace, load_space

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
    expected_s: float | None = None

    def run(self, folder: RunFolder) -> SearchResult:
        """Search, with a live view; Ctrl-C tells how to go on."""
        from nas.pipeline import search
        from nas.watch import Several, TensorBoard

        config = self.config
        assert config.target_ms is not None
        controller = _controller(config, self.space)
        view = LiveView(self.console, config, expected_s=self.expected_s)
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
    data = open_images(config.data, console, batch_size=config.recipe.batch_size)
    space = load_space(config.space, resolution=config.resolution, classes=len(data.classes))
    _controller(config, space)
    return Job(config, space, source, data, console)


def _controller(config: SearchConfig, space: FactorizedSpace) -> Controller:
    chosen = config.controller
    return make_controller(chosen.name, space.arities, seed=config.seed, options=chosen.options)


def start(job: Job, runs: Path, name: str) -> RunFolder:
    """Make the run's folder, with its settings in it."""
    folder = new_folder(runs, name)
    write_whole(folder / "config.yaml", config_yaml(job.config))
    return folder


def reopen(path: Path, schedule: dict[str, Any], console: Console) -> tuple[Job, RunFolder]:
    """An interrupted run, as it was but for where its trials train."""
    folder = open_folder(path)
    done, finals = len(folder.trials().trials), len(folder.finals().trials)
    config = load_config(folder / "config.yaml")
    kept = config.model_dump(mode="json")
    kept["schedule"] |= schedule
    console.print(
        f"{folder.path}: {done} of {counted(config.trials, 'trial')} done"
        + (f", {finals} of the finals" if finals else ""),
        soft_wrap=True,
    )
    return open_job(parse_config(kept, where=str(folder / "config.yaml")), console), folder


def _notes(trial: Trial, *, winner: bool) -> list[str]:
    unstable = trial.latency is not None and not trial.latency.stable
    return (["winner"] if winner else []) + (["unstable"] if unstable else [])


def conclude(result: SearchResult, console: Console) -> None:
    """The best candidates, where the files lie, the next command."""
    finalists = [trial for trial in result.finals if trial.kind == "final" and trial.ok]
    table = Table(title="finalists", box=SIMPLE, pad_edge=False)
    for title in ("trial", "accuracy", "latency ms", "95% interval", "params", "MAdds", ""):
        table.add_column(title, justify="right")
    for trial in sorted(finalists, key=lambda t: -(t.accuracy or 0)):
        assert trial.latency is not None
        table.add_row(
            str(trial.index),
            f"{100 * (trial.accuracy or 0):.1f}%",
            f"{trial.latency_ms:.3f}",
            interval(trial.latency),
            f"{trial.params / 1e6:.2f}M",
            f"{trial.madds / 1e6:.0f}M",
            ", ".join(_notes(trial, winner=trial.index == result.winner.index)),
        )
    console.print(table)
    if not result.within_target:
        console.print(
            f"[bold]No finalist is within {three_digits(result.target_ms)} ms[/bold]; "
            "this is the best reward."
        )
    unstable = sum(t.latency is not None and not t.latency.stable for t in result.trials)
    if unstable:
        console.print(
            f"{unstable} of {counted(len(result.trials), 'latency', 'latencies')} are unstable: other "
            "programs were running, here or on the same host"
        )
    if result.test_accuracy is not None:
        console.print(f"on the test images, looked at once: {100 * result.test_accuracy:.1f}%")
    if result.noise is not None:
        console.print(result.noise.sentence())
    folder = result.folder.path
    console.print(
        f"\n{folder}/ has best.yaml, best.onnx, seed.pt, pareto.csv, report.html, trials.jsonl\n"
        f"next: {command(f'show {folder}/best.yaml')}",
        soft_wrap=True,
    )
