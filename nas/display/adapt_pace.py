"""How fast a NetAdapt run goes, so that it can say how long it will."""

from __future__ import annotations

import time
from datetime import datetime
from statistics import fmean, median_low
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nas.adapting.forecast import Forecast
    from nas.engine.trial import Trial

SETTLED = 4
"""Trainings after which their own pace says more than what was known before."""

LATELY = 2
"""Steps whose measuring tells how long the next ones' takes."""

MOST_SLOWER = 10.0
"""Times that measuring may seem to take longer than forecast."""

Phase = Literal["training", "measuring", "else"]


class Logged:
    """The pace of the steps that were in the log already, by its clock readings."""

    def __init__(self) -> None:
        self._work = self._train_s = 0.0
        self._spans: dict[int, tuple[float, float]] = {}

    def add(self, trial: Trial, work: float) -> None:
        """A proposal that trained; work: see `nas.adapting.job.work`."""
        ended_s = datetime.fromisoformat(str(trial.time["finished"])).timestamp()
        began_s = ended_s - trial.train_s
        first_s, last_s = self._spans.get(trial.batch, (began_s, ended_s))
        self._spans[trial.batch] = min(first_s, began_s), max(last_s, ended_s)
        self._work += work
        self._train_s += trial.train_s

    def seconds_a_work(self, workers: int) -> float | None:
        """Of one unit of work on so many workers; None if nothing is known."""
        return self._train_s / self._work / workers if self._train_s else None

    @property
    def step_s(self) -> float | None:
        """Between a step's trainings and the next one's, mostly: an interruption counts little."""
        gaps = [
            max(0.0, self._spans[step + 1][0] - ended_s)
            for step, (_, ended_s) in self._spans.items()
            if step + 1 in self._spans
        ]
        return median_low(gaps) if gaps else None


class Pace:
    """Time of trainings, and of what is measured for a step, since this process began.

    Before there is enough of that, what the log tells of the steps before; then what was forecast.

    Args:
        forecast: What was said before the run began; None if nothing was.
        workers: Proposals at once; None where nobody can tell, as of a cluster.
    """

    def __init__(self, forecast: Forecast | None, *, workers: int | None = 1) -> None:
        self._forecast, self._workers = forecast, workers
        self.logged = Logged()
        self._phase: Phase = "else"
        self._since = 0.0
        self._spent_s: dict[Phase, float] = {"training": 0.0, "measuring": 0.0, "else": 0.0}
        self._work, self._trained = 0.0, 0
        self._first_s: float | None = None
        self._later_s: list[float] = []

    def enter(self, phase: Phase) -> None:
        """From now on it trains, measures, or does something else."""
        now = time.monotonic()
        self._spent_s[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def trained(self, work: float) -> None:
        """A training has ended: see `nas.adapting.job.work`."""
        self._work += work
        self._trained += 1

    def measured(self, *, first: bool) -> None:
        """A step's proposals are known; in the `first` step all were new to the device."""
        spent_s, self._spent_s["measuring"] = self._spent_s["measuring"], 0.0
        if not spent_s:  # they were written down before this process began
            return
        if first:
            self._first_s = spent_s
        else:
            self._later_s.append(spent_s)

    def left_s(self, *, work: float, steps: float) -> float | None:
        """Seconds of so much training, and of the measuring of so many steps; None if one is not known.

        Args:
            work: Of trainings: see `nas.adapting.job.work`.
            steps: Steps, or what takes as long to measure.
        """
        self.enter(self._phase)
        a_work, a_step = self._seconds_a_work(), self._step_s() if steps else 0.0
        if a_work is None or a_step is None:
            return None
        return a_work * work + a_step * steps

    def _seconds_a_work(self) -> float | None:
        if self._trained >= SETTLED:
            return self._spent_s["training"] / self._work
        logged = None if self._workers is None else self.logged.seconds_a_work(self._workers)
        if logged is not None or self._forecast is None:
            return logged
        return self._forecast.seconds_a_work

    def _step_s(self) -> float | None:
        """Of measuring what a step needs: as the last ones did."""
        if self._later_s:
            return fmean(self._later_s[-LATELY:])
        logged, forecast = self.logged.step_s, self._forecast
        if logged is not None:
            return logged
        if forecast is None:
            return self._first_s
        if self._first_s is None or not forecast.first_s:
            return forecast.step_s
        # Where nearly all was known to the device beforehand, the first step tells little of the pace.
        return forecast.step_s * min(MOST_SLOWER, self._first_s / forecast.first_s)
