"""Progress of `netadapt`: one line per network, the ranking of proposals, the time left."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from nas.adapting.forecast import MULTIPLIERS_ASKED, QUESTIONS, Forecast, Workload
from nas.adapting.job import AdaptJob
from nas.adapting.kinds import PROPOSAL
from nas.adapting.watching import AdaptWatcher
from nas.display.adapt_pace import Pace
from nas.display.progress import SAY_EVERY_S, Waiting
from nas.engine.trial import Trial
from nas.formatting import counted, distinguished, duration, percent, three_digits
from netadapt.shrink import Shrink


class View(AdaptWatcher):
    """Prints a line per step and per network, and shows the current activity in between.

    Args:
        console: Console to print to.
        workload: Workload of the run.
        forecast: The forecast printed before the run; None if there is none.
        workers: Proposals trained at once; None if unknown, as on a cluster.
    """

    def __init__(
        self,
        console: Console,
        workload: Workload,
        forecast: Forecast | None,
        *,
        workers: int | None = 1,
    ) -> None:
        self.console, self.workload, self.forecast = console, workload, forecast
        self.pace = Pace(forecast, workers=workers)
        self._waiting = Waiting(console)
        self._asked = 0
        self._out, self._jobs = 0.0, 0
        self._each_step = 0 if forecast is None else forecast.able
        self._scores: list[float] = []
        self._shrink: Shrink | None = None
        self._in_step = self._finishing = self._testing = False

    def asked(self, networks: int) -> None:  # noqa: ARG002  the source forgets some
        """Count a network that was measured."""
        self._asked += 1
        step = "" if self._shrink is None or self._finishing else f"step {self._shrink.steps + 1}: "
        self._waiting.update(f"{step}{counted(self._asked, 'network')} measured so far")

    def rest(self) -> None:
        """Stop showing progress."""
        self._waiting.end()

    def proposing(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        self._shrink, now = shrink, shrink.current
        self.pace.enter("measuring")
        what = "wider networks" if shrink.widening else "proposals"
        now_ms, target_ms = distinguished(now.latency_ms, shrink.target_ms)
        why = "above the target"
        if shrink.widening:
            why = f"{1 - now.latency_ms / shrink.target_ms:.0%} below the target"
        self.console.print(
            f"step {shrink.steps + 1}: {percent(now.accuracy)} at {now_ms} ms, {why} of {target_ms} ms; "
            f"measuring {what}",
            soft_wrap=True,
        )
        self._begin(f"measuring {what}", after_s=SAY_EVERY_S)

    def ranking(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        self._begin(
            f"step {shrink.steps + 1}: ordering channels by importance", after_s=SAY_EVERY_S
        )

    def ending(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        self._shrink, self._finishing = shrink, True
        if shrink.far_below:
            self.console.print(
                f"final latency {three_digits(shrink.current.latency_ms)} ms, well below the target of "
                f"{three_digits(shrink.target_ms)} ms: widening again did not bring it closer",
                soft_wrap=True,
            )
        self.pace.enter("measuring")
        if self.workload.config.compare != "none":
            self._begin("finding the width multiplier of the same latency")

    def tuning(self, shrink: Shrink, jobs: Sequence[AdaptJob], *, finishing: bool) -> None:
        """See `AdaptWatcher`."""
        self._shrink, self._finishing = shrink, finishing
        self._out, self._jobs = sum(job.work for job in jobs), len(jobs)
        self._in_step = not finishing
        self.pace.enter("training")
        if not finishing:
            self._each_step = len(jobs)
            self.pace.measured(first=shrink.steps == 0)
        what = counted(len(jobs), "final training" if finishing else "proposal")
        verb = "running" if finishing else "fine-tuning"
        self.console.print(f"  {verb} {what}{self._time_left()}")
        self._begin(self._under_way(), after_s=SAY_EVERY_S)

    def tuned(self, job: AdaptJob, trial: Trial, *, replayed: bool) -> None:
        """See `AdaptWatcher`."""
        if job.kind == PROPOSAL and trial.accuracy is not None:
            self._scores.append(trial.reward)
            if replayed:
                self.pace.logged.add(trial, job.work)
        if replayed:
            return
        if job.problem is None:
            self.pace.trained(job.work)
            self._out -= job.work
            self._jobs -= 1
        self.console.print(
            f"  {job.name}: {outcome(trial)}{self._rank(job, trial)}", soft_wrap=True
        )
        if self._in_step and not self._jobs:
            self.pace.enter("measuring")
            self._begin("measuring the best proposal again", after_s=SAY_EVERY_S)
        else:
            self._waiting.update(self._under_way())

    def testing(self, trial: Trial) -> None:
        """See `AdaptWatcher`."""
        if not self._testing:
            self._testing = True
            self._begin("scoring the test images")
        self._waiting.update(f"scoring the test images: {trial.kind} {trial.index + 1}")

    def chosen(self, shrink: Shrink, trial: Trial) -> None:
        """See `AdaptWatcher`."""
        self._shrink, self._scores, now = shrink, [], shrink.current
        self._out, self._in_step = 0, False
        self.rest()
        now_ms, target_ms = distinguished(now.latency_ms, shrink.target_ms)
        first = three_digits(trial.latency_ms)
        again = first != three_digits(now.latency_ms)
        at = f"{now_ms} ms (measured again; {first} ms before)" if again else f"{now_ms} ms"
        self.console.print(
            f"step {shrink.steps}: {percent(now.accuracy)} at {at}, target {target_ms} ms"
            f"{self._time_left()}",
            soft_wrap=True,
        )

    def _begin(self, text: str, *, after_s: float = 0.0) -> None:
        self._asked = 0
        self._waiting.begin(text, after_s=after_s)

    def _under_way(self) -> str:
        assert self._shrink is not None
        if self._finishing:
            return f"{counted(self._jobs, 'final training')} left{self._time_left()}"
        now_ms, target_ms = distinguished(self._shrink.current.latency_ms, self._shrink.target_ms)
        return (
            f"step {self._shrink.steps + 1}: {counted(self._jobs, 'proposal')} left to fine-tune; "
            f"{now_ms} ms now, target {target_ms} ms{self._time_left()}"
        )

    def _rank(self, job: AdaptJob, trial: Trial) -> str:
        """Format a proposal's rank among those of its step so far, and the time left."""
        text = ""
        if job.kind == PROPOSAL and trial.accuracy is not None:
            rank = sum(score > trial.reward for score in self._scores) + 1
            name = "best" if rank == 1 else f"number {rank}"
            text = f", {name} of {len(self._scores)} so far"
        return text + self._time_left()

    def _time_left(self) -> str:
        left_s = self.left_s()
        return "" if left_s is None else f", about {duration(left_s)} left"

    def left_s(self) -> float | None:
        """Return the seconds left, or None while unknown.

        Counts running jobs, further steps like the last one, and the final trainings.
        """
        if self._shrink is None:
            return None
        if self._finishing:
            return self.pace.left_s(work=self._out, steps=0)
        shrink, now = self._shrink, self._shrink.current
        steps = self.workload.steps_left(now.latency_ms, saves_ms=self._saves_ms(shrink)) or 0
        further = max(0, steps - (1 if self._in_step else 0))
        if further and not self._each_step:
            return None  # the number of proposals in a step is not known yet
        all_steps = shrink.steps + steps
        work = self._out + self.workload.to_come(
            now.spec, now.latency_ms, proposals=further * self._each_step, steps=all_steps
        )
        return self.pace.left_s(work=work, steps=further + self._comparing(all_steps))

    def _comparing(self, steps: int) -> float:
        """Return the measuring for the comparison, in units of a step's."""
        forecast, spec = self.forecast, self.workload.config
        if forecast is not None:
            return forecast.ends_s / forecast.step_s if forecast.step_s else 0.0
        assert self._shrink is not None
        groups = len(spec.loop.groups(self._shrink.current.spec))
        return self.workload.baselines_sought(steps) * MULTIPLIERS_ASKED / (groups + QUESTIONS)

    def _saves_ms(self, shrink: Shrink) -> float:
        """Return the saving expected of a step: the mean of those so far."""
        seed_ms = shrink.schedule.seed_ms
        if shrink.steps:
            return (seed_ms - shrink.current.latency_ms) / shrink.steps
        return shrink.schedule.deltas_ms(0)[0] if self.forecast is None else self.forecast.delta_ms


def outcome(trial: Trial) -> str:
    """Format the outcome of a training."""
    if trial.accuracy is None:
        return f"failed: {trial.error}"
    unstable = "" if trial.latency is None or trial.latency.stable else " (unstable)"
    return f"{percent(trial.accuracy)} at {three_digits(trial.latency_ms)} ms{unstable}"
