"""Who is told what happens in a search: nobody, TensorBoard, a screen, or several of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from controllers import Controller, HasPolicy
from nas.engine.job import Job
from nas.engine.trial import Trial
from nas.formatting import short_names


class RunWatcher(Protocol):
    """Is told what a runner does."""

    def measuring(self, done: int, total: int) -> None:
        """`done` of `total` latencies of a batch have been measured."""
        ...

    def training(self, jobs: Sequence[Any]) -> None:
        """These jobs of a batch train from now on."""
        ...

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """A trial is in the log; `replayed` if it was there before this process began."""
        ...


class Watcher(RunWatcher, Protocol):
    """Is told what happens in a search, and shows it."""

    def told(self, batch: int, controller: Controller) -> None:
        """The controller has learned from a batch."""
        ...


@runtime_checkable
class KnowsBudget(Protocol):
    """A watcher that is also told how many trials a time budget has room for."""

    def fitting(self, trials: int) -> None:
        """So many trials fit the budget, those that have ended included, at the pace measured so far."""
        ...


def tell_fitting(watcher: Watcher, trials: int) -> None:
    """Tell a watcher how many trials fit the time budget, if it can be told."""
    if isinstance(watcher, KnowsBudget):
        watcher.fitting(trials)


class Silent:
    """Shows nothing."""

    def measuring(self, done: int, total: int) -> None:
        """See `Watcher`."""

    def training(self, jobs: Sequence[Job]) -> None:
        """See `Watcher`."""

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """See `Watcher`."""

    def told(self, batch: int, controller: Controller) -> None:
        """See `Watcher`."""


class Several:
    """Passes everything on to each of several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def measuring(self, done: int, total: int) -> None:
        """See `Watcher`."""
        for watcher in self.watchers:
            watcher.measuring(done, total)

    def training(self, jobs: Sequence[Job]) -> None:
        """See `Watcher`."""
        for watcher in self.watchers:
            watcher.training(jobs)

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """See `Watcher`."""
        for watcher in self.watchers:
            watcher.finished(trial, replayed=replayed)

    def told(self, batch: int, controller: Controller) -> None:
        """See `Watcher`."""
        for watcher in self.watchers:
            watcher.told(batch, controller)

    def fitting(self, trials: int) -> None:
        """See `KnowsBudget`."""
        for watcher in self.watchers:
            tell_fitting(watcher, trials)


class PolicyRecord(Silent):
    """Keeps a controller's probabilities after each batch, for the report.

    A resumed run replays its batches, so the file is begun anew and comes out whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)

    def told(self, batch: int, controller: Controller) -> None:
        """One line a batch."""
        if isinstance(controller, HasPolicy):
            line = {"batch": batch, "probabilities": controller.choice_probabilities()}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


class TensorBoard(Silent):
    """Writes a search as TensorBoard events: what each trial scored, and the best so far.

    The events are rewritten from the log on resume, so that they show the whole run once.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer: Any = SummaryWriter(str(folder), flush_secs=10)
        self._best = float("-inf")

    def finished(self, trial: Trial, *, replayed: bool) -> None:  # noqa: ARG002
        """One step a trial."""
        if not trial.ok:
            return
        group = "trial" if trial.kind == "search" else trial.kind
        self._writer.add_scalar(f"{group}/accuracy", trial.accuracy, trial.index)
        for tag, latency in zip(_tags(trial), trial.latencies, strict=True):
            self._writer.add_scalar(f"{group}/{tag}", latency.median_ms, trial.index)
        self._writer.add_scalar(f"{group}/reward", trial.reward, trial.index)
        if trial.kind == "search":
            self._best = max(self._best, trial.reward)
            self._writer.add_scalar("best/reward", self._best, trial.index)

    def close(self) -> None:
        """Write out what is buffered."""
        self._writer.close()


def _tags(trial: Trial) -> list[str]:
    """What a trial's latencies are called: by their devices, if there are several."""
    tags = []
    names = short_names([latency.device for latency in trial.latencies])
    for latency, name in zip(trial.latencies, names, strict=True):
        kind = "latency_estimate_ms" if latency.estimate else "latency_ms"
        of = re.sub(r"[^\w.]+", "-", name).strip("-")  # TensorBoard allows few characters
        tags.append(f"{kind}/{of}" if len(names) > 1 else kind)
    return tags
