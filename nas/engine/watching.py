"""Watchers of a search: the protocol, TensorBoard, and a record of the policy."""

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
    """Is notified of a runner's events."""

    def measuring(self, done: int, total: int) -> None:
        """`done` of `total` latencies of a batch have been measured."""
        ...

    def training(self, jobs: Sequence[Any]) -> None:
        """Training of these jobs of a batch begins."""
        ...

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """A trial has been logged; `replayed` if it was in the log before this process started."""
        ...


class Watcher(RunWatcher, Protocol):
    """Is notified of a search's events."""

    def told(self, batch: int, controller: Controller) -> None:
        """The controller has learned from a batch."""
        ...


@runtime_checkable
class KnowsBudget(Protocol):
    """A watcher that is also notified of how many trials fit the time budget."""

    def fitting(self, trials: int) -> None:
        """`trials` fit the budget in total, at the pace measured so far."""
        ...


def notify_fitting(watcher: Watcher, trials: int) -> None:
    """Notify a watcher of how many trials fit the time budget, if it supports that."""
    if isinstance(watcher, KnowsBudget):
        watcher.fitting(trials)


@runtime_checkable
class KnowsPreparation(Protocol):
    """A watcher that is also notified of what precedes the first trial."""

    def preparing(self, what: str) -> None:
        """`what` has begun, or goes on."""
        ...


def notify_preparing(watcher: Watcher, what: str) -> None:
    """Notify a watcher of what precedes the first trial, if it supports that."""
    if isinstance(watcher, KnowsPreparation):
        watcher.preparing(what)


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
    """Forwards all events to several watchers."""

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
            notify_fitting(watcher, trials)

    def preparing(self, what: str) -> None:
        """See `KnowsPreparation`."""
        for watcher in self.watchers:
            notify_preparing(watcher, what)


class PolicyRecord(Silent):
    """Records a controller's probabilities after each batch, for the report.

    A resumed run replays its batches, so the file is rewritten from the start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)

    def told(self, batch: int, controller: Controller) -> None:
        """Append one line per batch."""
        if isinstance(controller, HasPolicy):
            line = {"batch": batch, "probabilities": controller.choice_probabilities()}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


class TensorBoard(Silent):
    """Writes each trial's figures, and the best reward so far, as TensorBoard events.

    On resume the events are rewritten from the log.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer: Any = SummaryWriter(str(folder), flush_secs=10)
        self._best = float("-inf")

    def finished(self, trial: Trial, *, replayed: bool) -> None:  # noqa: ARG002
        """Write one step per trial."""
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
        """Flush the events."""
        self._writer.close()


def _tags(trial: Trial) -> list[str]:
    """Return the tags of a trial's latencies; with several devices, each has its device's name."""
    tags = []
    names = short_names([latency.device for latency in trial.latencies])
    for latency, name in zip(trial.latencies, names, strict=True):
        kind = "latency_estimate_ms" if latency.estimate else "latency_ms"
        of = re.sub(r"[^\w.]+", "-", name).strip("-")  # TensorBoard allows few characters
        tags.append(f"{kind}/{of}" if len(names) > 1 else kind)
    return tags
