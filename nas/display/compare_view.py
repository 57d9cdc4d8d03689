"""Progress of a comparison: a bar, and a line for each training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from nas.comparing.job import CompareJob
from nas.display.progress import Waiting, waiting
from nas.engine.job import Key
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from nas.formatting import counted, duration, figure


class CompareView(Silent):
    """Prints each finished training, and shows how long the rest will take.

    Args:
        console: Console to print to.
        metric: Name of the metric.
    """

    def __init__(self, console: Console, metric: str) -> None:
        self._console, self._metric = console, metric
        self._jobs: dict[Key, CompareJob] = {}
        self._began_s = time.monotonic()
        self._work = self._worked = 0.0
        self._shown: Waiting | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the view until the block ends."""
        with waiting(self._console, "starting") as self._shown:
            yield

    def measuring(self, done: int, total: int) -> None:
        """See `Watcher`."""
        self._tell(f"measuring latency on device {min(done + 1, total)} of {total}")

    def training(self, jobs: Sequence[Any]) -> None:
        """See `Watcher`."""
        self._jobs = {job.key: job for job in jobs}
        self._work, self._worked = sum(job.work for job in jobs), 0.0
        self._began_s = time.monotonic()
        self._tell(f"{counted(len(jobs), 'training')} to do")

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """See `Watcher`."""
        job = self._jobs.get(trial.key)
        if replayed or job is None:
            return
        self._worked += job.work
        self._console.print(f"{job.name}: {self._outcome(trial)}", soft_wrap=True)
        self._tell(f"training{self._left()}")

    def _outcome(self, trial: Trial) -> str:
        if trial.accuracy is None:
            return f"failed: {trial.error}"
        return f"{figure(trial.accuracy, self._metric)} held out, {duration(trial.train_s)}"

    def _left(self) -> str:
        if not self._worked:
            return ""
        spent_s = time.monotonic() - self._began_s
        return f", about {duration(spent_s * (self._work / self._worked - 1))} left"

    def _tell(self, text: str) -> None:
        if self._shown is not None:
            self._shown.update(text)
