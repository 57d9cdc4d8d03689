"""A batch: trials of which all must end before the search goes on."""

from __future__ import annotations

from nas.engine.trial import Job, Kind, Trial
from nas.engine.trial_log import Key, TrialLog
from search_spaces import count


class Batch:
    """Jobs that are out together, and what has come of them.

    Args:
        kind: Of the candidates' trainings (`search`, or `rung` before it), or of the finals.
        log: Where its trials are kept.

    Attributes:
        jobs: Those that were not in the log when the batch began.
        settled: Trials that have ended, by kind and index; those of the log too.
        fresh: Whether any was not in the log.
    """

    def __init__(self, kind: Kind, log: TrialLog) -> None:
        self.kind, self.log = kind, log
        self.jobs: list[Job] = []
        self.settled: dict[Key, Trial] = {}
        self.fresh = False
        self._queue: list[Job] = []
        self._twins: dict[Key, list[Job]] = {}

    def add(self, job: Job) -> None:
        """A job to train; one of a candidate that the batch has already waits for that one's outcome."""
        self.jobs.append(job)
        if self.kind != "final":
            for other in self.jobs[:-1]:
                if other.spec.fingerprint == job.spec.fingerprint:
                    self._twins.setdefault((other.kind, other.index), []).append(job)
                    return

    def twins(self, job: Job) -> list[Job]:
        """Jobs of the same network that have not ended, to be asked once the job has."""
        twins = self._twins.pop((job.kind, job.index), [])
        return [twin for twin in twins if (twin.kind, twin.index) not in self.settled]

    def tried(self) -> dict[str, Trial]:
        """By network, the trials whose outcome stands for it: those that succeeded, and any of this batch.

        One that failed in an earlier batch is tried again. Finals are trained whatever was tried.
        """
        if self.kind == "final":
            return {}
        good = [trial for trial in self.log.trials if trial.ok and trial.kind == self.kind]
        ended = [*good, *self.in_order()]
        return {trial.fingerprint: trial for trial in reversed(ended)}

    def start(self) -> list[Job]:
        """Queue what is not settled, the dearest first: then no worker waits long at the end."""
        waiting = {twin.index for twins in self._twins.values() for twin in twins}
        left = [
            job
            for job in self.jobs
            if (job.kind, job.index) not in self.settled and job.index not in waiting
        ]
        self._queue = sorted(left, key=lambda job: (job.kind != "final", -count(job.spec).madds))
        return list(self._queue)

    def take(self) -> Job | None:
        """The next job of the queue."""
        return self._queue.pop(0) if self._queue else None

    @property
    def complete(self) -> bool:
        """Whether every job is settled."""
        return all((job.kind, job.index) in self.settled for job in self.jobs)

    def in_order(self) -> list[Trial]:
        """The settled trials in the order asked."""
        return [self.settled[key] for key in sorted(self.settled, key=lambda key: key[1])]
