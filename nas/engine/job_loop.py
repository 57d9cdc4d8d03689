"""Jobs one after another: what a search and NetAdapt have in common, whoever trains."""

from __future__ import annotations

from typing import Protocol, Self

from latency import DeviceLostError
from nas.engine.trial import Evaluate, Job, Outcome, attempt
from search_spaces import InputError


class SearchStoppedError(RuntimeError):
    """The search cannot go on; the message says why. The log keeps what it has."""

    @classmethod
    def of_lost(cls, lost: DeviceLostError) -> Self:
        """Because its device is gone."""
        return cls(
            f"the device is lost ({lost}): the log keeps what it has; bring the device back, then resume"
        )


class JobLoop(Protocol):
    """What says which job is next and takes outcomes in any order."""

    done: bool

    def next_job(self) -> Job | None:
        """The next job, or None: all is done, or waits for jobs that are out."""
        ...

    def record(self, job: Job, outcome: Outcome) -> None:
        """Keep a job's outcome."""
        ...


def run_serially(loop: JobLoop, evaluate: Evaluate) -> None:
    """Train every job here and now, one after another."""
    while (job := loop.next_job()) is not None:
        keep(loop, job, attempt(evaluate, job))


def keep(loop: JobLoop, job: Job, outcome: Outcome) -> None:
    """Record an outcome.

    Raises:
        InputError: Images cannot be read any more; the run can be resumed once they can.
    """
    if outcome.stops:
        raise InputError(outcome.error or "images cannot be read")
    loop.record(job, outcome)
