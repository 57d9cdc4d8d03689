"""What the user of `netadapt` sees while it runs: a line a network, how the proposals stand, time left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from nas.adapt_watcher import AdaptWatcher
from nas.cli.adapt_pace import Pace
from nas.readable import counted, duration, percent, three_digits

if TYPE_CHECKING:
    from nas.adapt_job import AdaptJob
    from nas.adapt_plan import Forecast, Workload
    from nas.trial import Trial
    from netadapt.shrink import Shrink


class View(AdaptWatcher):
    """Says what there is to do, then a line a network; on a terminal also what is under way.

    Args:
        console: Where to.
        workload: The run's.
        forecast: What was said before it began; None if nothing was.
    """

    def __init__(self, console: Console, workload: Workload, forecast: Forecast | None) -> None:
        self.console, self.workload, self.forecast = console, workload, forecast
        self.pace = Pace(forecast)
        self._status = console.status("")
        self._out = self._jobs = 0
        self._each_step = 0 if forecast is None else forecast.able
        self._steps_measured = 0
        self._scores: list[float] = []
        self._shrink: Shrink | None = None
        self._in_step = self._finishing = False

    def asked(self, networks: int) -> None:
        """So many networks have been measured."""
        self.pace.asked()
        self._status.update(f"{counted(networks, 'network')} measured")

    def rest(self) -> None:
        """Leave the screen as it is."""
        self._status.stop()

    def proposing(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        self._shrink, now = shrink, shrink.current
        self._steps_measured += 1
        self.pace.enter("measuring")
        self.console.print(
            f"step {shrink.steps + 1}: from {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms; "
            "measuring proposals",
            soft_wrap=True,
        )
        self._show("measuring proposals")

    def ending(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        self._shrink = shrink
        self.pace.enter("measuring")
        if self.workload.config.compare != "none":
            self._show("seeking width multipliers of the same latency")

    def tuning(self, shrink: Shrink, jobs: Sequence[AdaptJob], *, finishing: bool) -> None:
        """See `AdaptWatcher`."""
        self._shrink, self._finishing = shrink, finishing
        self._out, self._jobs = sum(job.work for job in jobs), len(jobs)
        self._in_step = not finishing
        if not finishing:
            self._each_step = max(self._each_step, len(jobs))
        self.pace.enter("training")
        what = counted(len(jobs), "last training" if finishing else "proposal")
        self.console.print(f"  {what}{self._ends()}")
        self._show(self._under_way())

    def tuned(self, job: AdaptJob, trial: Trial, *, replayed: bool) -> None:
        """See `AdaptWatcher`."""
        if job.kind == "proposal" and trial.accuracy is not None:
            self._scores.append(trial.reward)
        if replayed:
            return
        if job.problem is None:
            self.pace.trained(job.work)
            self._out -= job.work
            self._jobs -= 1
        self._status.update(self._under_way())
        self.console.print(
            f"  {job.name}: {outcome(trial)}{self._standing(job, trial)}", soft_wrap=True
        )

    def chosen(self, shrink: Shrink, trial: Trial) -> None:  # noqa: ARG002
        """See `AdaptWatcher`."""
        self._shrink, self._scores, now = shrink, [], shrink.current
        self._out, self._in_step = 0, False
        self.pace.enter("else")
        self.rest()
        self.console.print(
            f"step {shrink.steps}: {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms, target "
            f"{three_digits(shrink.target_ms)} ms{self._ends()}",
            soft_wrap=True,
        )

    def _show(self, text: str) -> None:
        self._status.update(text)
        self._status.start()

    def _under_way(self) -> str:
        assert self._shrink is not None
        now, target = self._shrink.current.latency_ms, self._shrink.target_ms
        step = "last trainings" if self._finishing else f"step {self._shrink.steps + 1}"
        at = f"{three_digits(now)} of {three_digits(target)} ms"
        return f"{step}, {at}: {self._jobs} to train{self._ends()}"

    def _standing(self, job: AdaptJob, trial: Trial) -> str:
        """How a proposal does among its step's so far, and the time left."""
        text = ""
        if job.kind == "proposal" and trial.accuracy is not None:
            place = sum(score > trial.reward for score in self._scores) + 1
            rank = "best" if place == 1 else f"number {place}"
            text = f", {rank} of {len(self._scores)} so far"
        return text + self._ends()

    def _ends(self) -> str:
        left_s = self.left_s()
        return "" if left_s is None else f", about {duration(left_s)} left"

    def left_s(self) -> float | None:
        """Seconds left, or None before anything can be said.

        What is out, then further steps like those so far, then the last trainings.
        """
        if self._shrink is None:
            return None
        if self._finishing:
            return self.pace.left_s(work=self._out, questions=0)
        shrink, now = self._shrink, self._shrink.current.spec
        saves_ms = self._saves_ms(shrink)
        steps = self.workload.steps_left(shrink.current.latency_ms, saves_ms=saves_ms) or 0
        further = max(0, steps - (1 if self._in_step else 0))
        work = self.workload.proposals(now, further * self._each_step)
        work += self.workload.last(now, shrink.steps + steps)
        questions = further * self._questions_a_step()
        questions += self.workload.questions_at_end(shrink.steps + steps)
        return self.pace.left_s(work=self._out + work, questions=questions)

    def _questions_a_step(self) -> float:
        """Networks measured for a step: as many as so far."""
        if self._steps_measured and self.pace.questions:
            return self.pace.questions / self._steps_measured
        return 0.0 if self.forecast is None else self.forecast.questions_a_step

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
