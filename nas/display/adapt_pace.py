"""Measure the pace of a NetAdapt run, to estimate the time left."""

from __future__ import annotations

import time
from datetime import datetime
from statistics import fmean, median_low
from typing import Literal

from nas.adapting.forecast import Forecast
from nas.engine.trial import Trial

SETTLED = 4
"""Number of trainings whose pace replaces the forecast and the log."""

LATELY = 2
"""Number of latest steps used to predict the measuring time of the next."""

MOST_SLOWER = 10.0
"""Maximum factor by which measuring is assumed to be slower than forecast."""

Phase = Literal["training", "measuring", "else"]


class Logged:
    """The pace of steps replayed from the log, by their timestamps."""

    def __init__(self) -> None:
        self._work = self._train_s = 0.0
        self._spans: dict[int, tuple[float, float]] = {}

    def add(self, trial: Trial, work: float) -> None:
        """Add a trained proposal; for its work see `nas.adapting.job.work`."""
        ended_s = datetime.fromisoformat(str(trial.time["finished"])).timestamp()
        began_s = ended_s - trial.train_s
        first_s, last_s = self._spans.get(trial.batch, (began_s, ended_s))
        self._spans[trial.batch] = min(first_s, began_s), max(last_s, ended_s)
        self._work += work
        self._train_s += trial.train_s

    def seconds_a_work(self, workers: int) -> float | None:
        """Return the seconds per unit of work on `workers` workers; None if unknown."""
        return self._train_s / self._work / workers if self._train_s else None

    @property
    def step_s(self) -> float | None:
        """Typical seconds between the trainings of two steps; the median, as interruptions are outliers."""
        gaps = [
            max(0.0, self._spans[step + 1][0] - ended_s)
            for step, (_, ended_s) in self._spans.items()
            if step + 1 in self._spans
        ]
        return median_low(gaps) if gaps else None


class Pace:
    """Times the trainings and the measuring of a step since this process started.

    Until there are enough of them, the log of earlier steps is used, or else the forecast.

    Args:
        forecast: The forecast printed before the run; None if there is none.
        workers: Proposals trained at once; None if unknown, as on a cluster.
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
        """Switch to another phase."""
        now = time.monotonic()
        self._spent_s[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def trained(self, work: float) -> None:
        """Count a finished training; for its work see `nas.adapting.job.work`."""
        self._work += work
        self._trained += 1

    def measured(self, *, first: bool) -> None:
        """Count the measuring of a step's proposals; in the `first` step all are new to the device."""
        spent_s, self._spent_s["measuring"] = self._spent_s["measuring"], 0.0
        if not spent_s:  # they were recorded before this process started
            return
        if first:
            self._first_s = spent_s
        else:
            self._later_s.append(spent_s)

    def left_s(self, *, work: float, steps: float) -> float | None:
        """Return the seconds that training and measuring will take, or None if unknown.

        Args:
            work: Work of the trainings: see `nas.adapting.job.work`.
            steps: Number of steps to measure for; may be a fraction.
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
        """Return the seconds of measuring per step, from the latest steps."""
        if self._later_s:
            return fmean(self._later_s[-LATELY:])
        logged, forecast = self.logged.step_s, self._forecast
        if logged is not None:
            return logged
        if forecast is None:
            return self._first_s
        if self._first_s is None or not forecast.first_s:
            return forecast.step_s
        # If the device knew most networks already, the first step says little about the pace.
        return forecast.step_s * min(MOST_SLOWER, self._first_s / forecast.first_s)
