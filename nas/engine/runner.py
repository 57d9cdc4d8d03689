"""Run a plan: its jobs go out, its trials come back, and each is on disk before the plan sees it.

A plan is a generator. It yields a batch of jobs, is sent their trials in the order asked, and returns its
result. What it does follows from its seed and those trials alone, so a run that was interrupted resumes by
replay: the plan begins anew, and the runner answers from the log for as long as the log lasts. The order in
which workers finish changes nothing either.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import Any, Generic, Self

from latency import DeviceLostError, MeasurementError
from nas.engine.job import Evaluate, J, Key, Kind, Outcome, attempt
from nas.engine.measuring import Progress, Reading
from nas.engine.run_logs import RunLogs
from nas.engine.trial import Trial
from nas.engine.watching import RunWatcher
from nas.formatting import counted
from search_spaces import ArchSpec, InputError

Plan = Generator[Sequence[J], list[Trial], Any]
"""Yields batches of jobs and is sent their trials; a search or a NetAdapt run."""

HOPELESS = 3
"""Different networks of one kind that fail, and none in between that succeeds, after which a run stops."""


class SearchStoppedError(RuntimeError):
    """The run cannot go on; the message says why. The log keeps what it has."""

    @classmethod
    def of_lost(cls, lost: DeviceLostError) -> Self:
        """Because its device is gone."""
        return cls(
            f"the device is lost ({lost}): the log keeps what it has; bring the device back, then resume"
        )


class BatchRunner(Generic[J]):
    """Drives a plan: call `next_job` until `done`, and `record` for each job, in any order.

    Args:
        plan: What to run.
        logs: Where trials and weights are kept.
        reward: Of (job, accuracy in 0..1).
        watcher: Is told what happens.
        measure: Returns the latencies of networks; called while nothing trains. Not needed where jobs bring
            their own.
        reuse: Kinds of which a network trains once; later jobs reuse the outcome.
        hopeless: Failures after which the run stops; see `HOPELESS`. None leaves that to the plan.

    Attributes:
        logs: See above.
        done: Whether the plan has ended.
        result: What the plan has returned.
    """

    def __init__(
        self,
        plan: Plan[J],
        *,
        logs: RunLogs,
        reward: Callable[[J, float], float],
        watcher: RunWatcher,
        measure: Callable[[Sequence[ArchSpec], Progress], list[Reading]] | None = None,
        reuse: frozenset[Kind] = frozenset(),
        hopeless: int | None = None,
    ) -> None:
        self._plan, self.logs, self._watcher = plan, logs, watcher
        self._measure, self._reward = measure, reward
        self._reuse, self._hopeless = reuse, hopeless
        self.done, self.result = False, None
        self._started = False
        self._jobs: Sequence[J] = ()
        self._trials: dict[Key, Trial] = {}
        self._queue: list[J] = []
        self._duplicates: dict[Key, list[J]] = {}
        self._failed: dict[Kind, set[str]] = {}
        self._fresh = False
        logs.retry_failures()  # the run may have stopped because of them

    def next_job(self) -> J | None:
        """Return the next job; None if the plan has ended, or waits for jobs that are out.

        Raises:
            SearchStoppedError: Nothing works, or a device is lost.
            InputError: The log is not this plan's.
        """
        while not self.done and len(self._trials) == len(self._jobs):
            self._advance()
        return self._queue.pop(0) if self._queue else None

    def record(self, job: J, outcome: Outcome) -> None:
        """Keep a job's outcome; once this returns, it survives a `kill -9`.

        Raises:
            InputError: Images cannot be read any more; the run can be resumed once they can.
        """
        if outcome.stops:
            raise InputError(outcome.error or "images cannot be read")
        outcome, reward = self._scored(job, outcome)
        if outcome.weights is not None:
            self.logs.keep_weights(job.key, outcome.weights)
        self._finish(job, outcome, reward)

    def _advance(self) -> None:
        """Send the plan the trials of the batch that is complete, and open its next one."""
        trials = [self._trials[job.key] for job in self._jobs]
        self._stop_if_hopeless(trials)
        try:
            jobs = self._plan.send(trials) if self._started else next(self._plan)
            self._started = True
            self._open(jobs)
        except StopIteration as ended:
            self.result, self.done = ended.value, True
        except DeviceLostError as lost:
            raise SearchStoppedError.of_lost(lost) from lost

    def _open(self, jobs: Sequence[J]) -> None:
        """Replay what the log has of a batch; measure and queue the rest."""
        self._jobs, self._trials, self._duplicates = jobs, {}, {}
        logged = self.logs.open_batch([job.key for job in jobs])
        for job in jobs:
            if (trial := logged.get(job.key)) is not None:
                self._replay(job, trial)
        known = self._known()
        fresh = self._measured([job for job in jobs if job.key not in logged], known)
        self._fresh = bool(fresh)
        queue: dict[str | Key, J] = {}
        for job in fresh:
            network = job.spec.fingerprint if job.kind in self._reuse else job.key
            if job.problem is None and network not in known:
                first = queue.setdefault(network, job)
                if first is not job:
                    self._duplicates.setdefault(first.key, []).append(job)
        # The longest first: then no worker waits long at the end of the batch.
        self._queue = sorted(queue.values(), key=lambda job: -job.work)
        if self._queue:
            self._watcher.training(list(self._queue))
        for job in fresh:
            if job.problem is not None:
                self._finish(job, Outcome(None, job.problem), 0.0)
            elif job.spec.fingerprint in known:
                self._reuse_outcome(job, known[job.spec.fingerprint])

    def _replay(self, job: J, trial: Trial) -> None:
        if trial.tokens != job.tokens:
            self.logs.refuse(trial)
        if trial.fingerprint != job.spec.fingerprint:
            self.logs.refuse(
                trial, "it was another network then: the space or its size has changed"
            )
        self._trials[job.key] = trial
        self._watcher.finished(trial, replayed=True)

    def _known(self) -> dict[str, Trial]:
        """The trials whose outcome stands for a network: successes, and whatever this batch has."""
        kinds = {job.kind for job in self._jobs} & self._reuse
        if not kinds:
            return {}
        good = [trial for trial in self.logs.trials if trial.ok and trial.kind in kinds]
        ended = [*good, *(self._trials[job.key] for job in self._jobs if job.key in self._trials)]
        return {trial.fingerprint: trial for trial in reversed(ended)}

    def _measured(self, jobs: Sequence[J], known: dict[str, Trial]) -> list[J]:
        """The jobs with their latencies, or with the problem that the device had."""
        new = [
            job
            for job in jobs
            if not job.latencies and job.problem is None and job.spec.fingerprint not in known
        ]
        if not new or self._measure is None:
            return list(jobs)
        readings = self._measure([job.spec for job in new], self._watcher.measuring)
        measured: dict[Key, J] = {}
        for job, reading in zip(new, readings, strict=True):
            if isinstance(reading, MeasurementError):
                measured[job.key] = replace(job, problem=f"latency: {reading}")
            else:
                measured[job.key] = replace(job, latencies=reading)
        return [measured.get(job.key, job) for job in jobs]

    def _scored(self, job: J, outcome: Outcome) -> tuple[Outcome, float]:
        """The outcome and its reward; a failure where one of them is no finite number."""
        if outcome.accuracy is None:
            return outcome, 0.0
        reward = self._reward(job, outcome.accuracy) if isfinite(outcome.accuracy) else nan
        if isfinite(reward):
            return outcome, reward
        error = f"accuracy is {outcome.accuracy:g}, its reward {reward:g}"
        return replace(outcome, accuracy=None, error=error, weights=None), 0.0

    def _reuse_outcome(self, job: J, known: Trial) -> None:
        job = replace(job, latencies=job.latencies or known.latencies)
        outcome = Outcome(known.accuracy, known.error, px=known.px)
        self._finish(job, *self._scored(job, outcome))

    def _finish(self, job: J, outcome: Outcome, reward: float) -> None:
        """Write a trial to disk, and those of its duplicates."""
        trial = Trial.of(job, outcome, reward=reward)
        self.logs.add(trial)
        self._trials[job.key] = trial
        self._watcher.finished(trial, replayed=False)
        for duplicate in self._duplicates.pop(job.key, ()):
            self._reuse_outcome(duplicate, trial)

    def _stop_if_hopeless(self, trials: Sequence[Trial]) -> None:
        """Stop once every network fails: a mistake in what trains or measures, not in the networks."""
        if not trials or self._hopeless is None:
            return
        kind = trials[0].kind
        failed = self._failed.setdefault(kind, set())
        if any(trial.ok for trial in trials):
            failed.clear()
            return
        failed.update(trial.fingerprint for trial in trials)
        if self._fresh and len(failed) >= self._hopeless:
            many = f"all {len(trials)} trials of a batch"
            if len(trials) == 1:
                many = f"the last {counted(len(failed), 'network')}"
            raise SearchStoppedError(f"{many} failed: {trials[0].error}")


def run_serially(runner: BatchRunner[J], evaluate: Evaluate[J]) -> None:
    """Train every job here and now, one after another."""
    while (job := runner.next_job()) is not None:
        runner.record(job, attempt(evaluate, job))
