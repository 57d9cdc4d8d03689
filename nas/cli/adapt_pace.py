"""How fast a NetAdapt run goes, so that it can say how long it will."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nas.adapt_plan import Forecast

SETTLED = 4
"""Trainings, or latencies, after which their own pace says more than the forecast's."""

Phase = Literal["training", "measuring", "else"]


class Pace:
    """Time and work of trainings and of measurements since this process began, each for itself.

    Args:
        forecast: What was said before the run began; None if nothing was.
    """

    def __init__(self, forecast: Forecast | None) -> None:
        self._a_work = None if forecast is None else forecast.seconds_a_work
        self._a_question = None if forecast is None else forecast.seconds_a_question
        self._phase: Phase = "else"
        self._since = 0.0
        self._spent_s: dict[Phase, float] = {"training": 0.0, "measuring": 0.0, "else": 0.0}
        self._work = self._trained = self.questions = 0

    def enter(self, phase: Phase) -> None:
        """From now on it trains, measures, or does something else."""
        now = time.monotonic()
        self._spent_s[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def trained(self, work: int) -> None:
        """A training has ended: see `nas.adapt_job.work`."""
        self._work += work
        self._trained += 1

    def asked(self) -> None:
        """A network has been measured."""
        self.questions += 1

    def left_s(self, *, work: int, questions: float) -> float | None:
        """Seconds of so much training and so many measurements; None before anything can be said.

        Args:
            work: Of trainings: see `nas.adapt_job.work`.
            questions: Networks to measure.
        """
        self.enter(self._phase)
        a_work, a_question = self._a_work, self._a_question
        if self._trained >= SETTLED:
            a_work = self._spent_s["training"] / self._work
        if self.questions >= SETTLED:
            a_question = self._spent_s["measuring"] / self.questions
        return None if a_work is None else a_work * work + (a_question or 0.0) * questions
