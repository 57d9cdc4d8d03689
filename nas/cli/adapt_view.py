"""What the user of `netadapt` sees while it runs: a line a network, how the proposals stand, time left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from nas.adapt_watcher import AdaptWatcher
from nas.cli.live import minutes
from nas.readable import counted, percent, three_digits

if TYPE_CHECKING:
    from nas.adapt_job import AdaptJob
    from nas.adapt_plan import Forecast, Workload
    from nas.trial import Trial
    from netadapt.shrink import Shrink

SETTLED = 4
"""Trainings after which their own speed says more than the forecast's."""


class View(AdaptWatcher):
    """Says what there is to do, then a line a network; on a terminal also what is under way.

    Time left is reckoned from the work done since this process began, in multiply-adds trained, latencies
    measured meanwhile included. Before a few trainings are done it is the forecast's.

    Args:
        console: Where to.
        workload: The run's.
        forecast: What was said before it began; None if nothing was.
    """

    def __init__(self, console: Console, workload: Workload, forecast: Forecast | None) -> None:
        self.console, self.workload, self.forecast = console, workload, forecast
        self._status = console.status("")
        self._began: float | None = None
        self._done = self._out = 0  # work
        self._trained = self._jobs = 0
        self._each_step = 0 if forecast is None else forecast.able
        self._scores: list[float] = []
        self._shrink: Shrink | None = None
        self._finishing = False

    def asked(self, networks: int) -> None:
        """So many networks have been measured."""
        self._status.update(f"{counted(networks, 'network')} measured")

    def rest(self) -> None:
        """Leave the screen as it is."""
        self._status.stop()

    def proposing(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        self._shrink, now = shrink, shrink.current
        self._began = self._began or time.monotonic()
        self.console.print(
            f"step {shrink.steps + 1}: from {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms; "
            "measuring proposals",
            soft_wrap=True,
        )
        self._status.start()

    def ending(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        self._shrink = shrink
        if self.workload.config.compare != "none":
            self._status.update("seeking the width multiplier of the same latency")
            self._status.start()

    def tuning(self, shrink: Shrink, jobs: Sequence[AdaptJob], *, finishing: bool) -> None:
        """See `AdaptWatcher`."""
        self._shrink, self._finishing = shrink, finishing
        self._began = self._began or time.monotonic()
        self._out, self._jobs = sum(job.work for job in jobs), len(jobs)
        if not finishing:
            self._each_step = max(self._each_step, len(jobs))
        what = counted(len(jobs), "last training" if finishing else "proposal")
        self.console.print(f"  {what}{self._ends()}")
        self._status.update(f"training, {len(jobs)} to go")
        self._status.start()

    def tuned(self, job: AdaptJob, trial: Trial, *, replayed: bool) -> None:
        """See `AdaptWatcher`."""
        if job.kind == "proposal" and trial.accuracy is not None:
            self._scores.append(trial.reward)
        if replayed:
            return
        if job.problem is None:
            self._trained += 1
            self._done += job.work
            self._out -= job.work
            self._jobs -= 1
        self._status.update(f"training, {self._jobs} to go{self._ends()}")
        self.console.print(
            f"  {job.name}: {outcome(trial)}{self._standing(job, trial)}", soft_wrap=True
        )

    def _standing(self, job: AdaptJob, trial: Trial) -> str:
        """How a proposal does among its step's so far, and the time left."""
        text = ""
        if job.kind == "proposal" and trial.accuracy is not None:
            place = sum(score > trial.reward for score in self._scores) + 1
            rank = "best" if place == 1 else f"number {place}"
            text = f", {rank} of {len(self._scores)} so far"
        return text + self._ends()

    def chosen(self, shrink: Shrink, trial: Trial) -> None:  # noqa: ARG002
        """See `AdaptWatcher`."""
        self._shrink, self._scores, now = shrink, [], shrink.current
        self._out = 0
        self.rest()
        self.console.print(
            f"step {shrink.steps}: {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms, target "
            f"{three_digits(shrink.target_ms)} ms{self._ends()}",
            soft_wrap=True,
        )

    def _ends(self) -> str:
        left_s = self.left_s()
        return "" if left_s is None else f", about {minutes(left_s)} left"

    def left_s(self) -> float | None:
        """Seconds left, or None before anything can be said."""
        if self._began is None or self._shrink is None:
            return None
        if self._trained >= SETTLED and self._done:
            rate = (time.monotonic() - self._began) / self._done
        elif self.forecast is not None:
            rate = self.forecast.seconds_a_work
        else:
            return None
        return rate * (self._out + self._to_come(self._shrink))

    def _to_come(self, shrink: Shrink) -> int:
        """Work of what is not out yet: further steps like the first, then the last trainings."""
        if self._finishing:
            return 0
        now = shrink.current
        steps = self.workload.steps_left(now.latency_ms, saves_ms=self._saves_ms(shrink)) or 0
        further = max(0, steps - (1 if self._out else 0))
        to_tune = self.workload.proposals(now.spec, further * self._each_step)
        return to_tune + self.workload.last(now.spec, shrink.steps + steps)

    def _saves_ms(self, shrink: Shrink) -> float:
        """What a step saves: as much as those so far did."""
        seed_ms = shrink.schedule.seed_ms
        if shrink.steps:
            return (seed_ms - shrink.current.latency_ms) / shrink.steps
        return shrink.schedule.deltas_ms(0)[0] if self.forecast is None else self.forecast.delta_ms


def outcome(trial: Trial) -> str:
    """What came of a training."""
    if trial.accuracy is None:
        return f"failed: {trial.error}"
    unstable = "" if trial.latency is None or trial.latency.stable else " (unstable)"
    return f"{percent(trial.accuracy)} at {three_digits(trial.latency_ms)} ms{unstable}"
