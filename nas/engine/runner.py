"""Run a plan: its jobs go out, its trials come back, and each is on disk before the plan sees it.

A plan is a generator. It yields a batch of jobs, is sent their trials in the order asked, and returns its
result. What it does follows from its seed, those trials, and what it has written down of clocks and devices
(`spent.json`; the steps of NetAdapt). So an interrupted run resumes by replay: the plan starts over, and
the runner answers from the log as long as it lasts. The order in which workers finish changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import Any, Generic

from latency import DeviceLostError, MeasurementError
from nas.engine.hopeless import Failures
from nas.engine.job import Evaluate, J, Job, Key, Kind, Outcome, attempt, in_one_line
from nas.engine.measuring import Progress, Reading
from nas.engine.run_logs import RunLogs
from nas.engine.trial import Trial
from nas.engine.watching import RunWatcher
from search_spaces import ArchSpec, InputError

Plan = Generator[Sequence[J], list[Trial], Any]
"""Yields batches of jobs and is sent their trials; a search or a NetAdapt run."""


class RunStoppedError(RuntimeError):
    """The run cannot go on; the message says why. The log keeps what it has."""


@contextmanager
def stops_if_lost() -> Iterator[None]:
    """Stop the run if a device is lost within the block.

    Raises:
        RunStoppedError: It is.
    """
    try:
        yield
    except DeviceLostError as lost:
        raise RunStoppedError(
            f"the device is lost ({lost}): the log keeps what it has; bring the device back, then resume"
        ) from lost


@dataclass
class _Batch(Generic[J]):
    """A batch that is out: its jobs, the trials that have finished, and what is still to train."""

    jobs: Sequence[J] = ()
    trials: dict[Key, Trial] = field(default_factory=dict)
    queue: list[J] = field(default_factory=list)
    duplicates: dict[Key, list[J]] = field(default_factory=dict)
    fresh: bool = False  # whether any job was not in the log


def as_it_is(_job: Job, accuracy: float) -> float:
    """Keep an accuracy as it was read."""
    return accuracy


class BatchRunner(Generic[J]):
    """Drives a plan: call `next_job` until `done`, and `record` for each job, in any order.

    Args:
        plan: What to run.
        logs: Where trials and weights are kept.
        reward: Called with (job, accuracy in 0..1).
        watcher: Receives the events of the run.
        measure: Returns the latencies of networks, equal ones measured once; called while nothing trains.
            Jobs may bring their own.
        reuse: Kinds of which a network trains once; later jobs reuse the outcome.
        adjust: Called with (job, its accuracy as read); returns the one that compares with others.
        hopeless: Failures in a row after which the run stops: see `nas.engine.hopeless`.
        recall: Returns the outcome of a job that need not be trained, since another run has done so; None
            for all others.

    Attributes:
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
        adjust: Callable[[J, float], float] = as_it_is,
        hopeless: int | None = None,
        recall: Callable[[J], Outcome | None] = lambda _job: None,
    ) -> None:
        self._plan, self.logs, self._watcher = plan, logs, watcher
        self._measure, self._reward, self._reuse = measure, reward, reuse
        self._adjust, self._recall = adjust, recall
        self._failures, self._batch = Failures(hopeless), _Batch[J]()
        self.done, self.result = False, None

    def next_job(self) -> J | None:
        """Return the next job; None if the plan has ended, or waits for jobs that are out.

        Raises:
            RunStoppedError: Nothing works, or a device is lost.
            InputError: The log is not this plan's.
        """
        self.begin()
        return self._batch.queue.pop(0) if self._batch.queue else None

    def begin(self) -> None:
        """Open the next batch if none is out, which measures its networks; `next_job` does so too.

        Raises:
            RunStoppedError: Nothing works, or a device is lost.
            InputError: The log is not this plan's.
        """
        while not self.done and len(self._batch.trials) == len(self._batch.jobs):
            self._advance()

    def record(self, job: J, outcome: Outcome) -> None:
        """Keep a job's outcome; once this returns, it survives a `kill -9`.

        Raises:
            InputError: Images cannot be read any more; the run can be resumed once they can.
        """
        if outcome.stops:
            raise InputError(outcome.error or "images cannot be read")
        if outcome.accuracy is not None and isfinite(outcome.accuracy):
            outcome = replace(
                outcome, accuracy=self._adjust(job, outcome.accuracy), read=outcome.accuracy
            )
        outcome, reward = self._scored(job, outcome)
        if outcome.weights is not None:
            self.logs.keep_weights(job.key, outcome.weights)
        self._finish(job, outcome, reward)

    def _advance(self) -> None:
        """Send the plan the trials of the batch that is complete, and open its next one."""
        batch = self._batch
        trials = [batch.trials[job.key] for job in batch.jobs]
        reason = self._failures.count(trials)
        if reason is not None and batch.fresh:
            raise RunStoppedError(reason)
        started = inspect.getgeneratorstate(self._plan) != inspect.GEN_CREATED
        with stops_if_lost():
            try:
                jobs = self._plan.send(trials) if started else next(self._plan)
            except StopIteration as ended:
                self.result, self.done = ended.value, True
            else:
                self._open(jobs)

    def _open(self, jobs: Sequence[J]) -> None:
        """Replay what the log has of a batch; measure and queue the rest."""
        self._batch = batch = _Batch(jobs)
        logged = self.logs.open_batch([job.key for job in jobs])
        for job in jobs:
            if (trial := logged.get(job.key)) is not None:
                self._replay(job, trial)
        known = self._known()
        fresh = self._measured([job for job in jobs if job.key not in logged], known)
        batch.fresh = bool(fresh)
        recalled = {job.key: found for job in fresh if (found := self._recall(job)) is not None}
        first: dict[object, J] = {}  # the job that trains for itself and its duplicates
        for job in fresh:
            if job.problem is not None or job.key in recalled or self._network(job) in known:
                continue
            if (other := first.setdefault(self._network(job), job)) is not job:
                batch.duplicates.setdefault(other.key, []).append(job)
        # The longest first: then no worker waits long at the end of the batch.
        batch.queue = sorted(first.values(), key=lambda job: -job.work)
        if batch.queue:
            self._watcher.training(list(batch.queue))
        self._settle(fresh, known, recalled)

    def _settle(
        self, jobs: Sequence[J], known: dict[object, Trial], recalled: dict[Key, Outcome]
    ) -> None:
        """Finish the jobs that need no training."""
        for job in jobs:
            if job.problem is not None:
                self._finish(job, Outcome(None, job.problem), 0.0)
            elif (outcome := recalled.get(job.key)) is not None:
                self._finish(job, *self._scored(job, outcome))
            elif (trial := known.get(self._network(job))) is not None:
                self._reuse_outcome(job, trial)

    def _network(self, job: J | Trial) -> object:
        """Return what jobs with one outcome have in common; unique to a job whose kind is not reused."""
        if job.kind not in self._reuse:
            return job.key
        return job.kind, job.fingerprint

    def _replay(self, job: J, trial: Trial) -> None:
        if trial.tokens != job.tokens:
            self.logs.refuse(trial)
        if trial.fingerprint != job.spec.fingerprint:
            self.logs.refuse(
                trial, "it was another network then: the space or its size has changed"
            )
        self._batch.trials[job.key] = trial
        self._watcher.finished(trial, replayed=True)

    def _known(self) -> dict[object, Trial]:
        """Trials whose outcome is reused: successes, and what this batch has replayed."""
        kinds = {job.kind for job in self._batch.jobs} & self._reuse
        if not kinds:
            return {}
        good = [trial for trial in self.logs.trials if trial.ok and trial.kind in kinds]
        ended = [*good, *self._batch.trials.values()]
        return {self._network(trial): trial for trial in reversed(ended)}

    def _measured(self, jobs: Sequence[J], known: dict[object, Trial]) -> list[J]:
        """The jobs with their latencies, or with the problem that the device had."""
        new = [
            job
            for job in jobs
            if not job.latencies and job.problem is None and self._network(job) not in known
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
        accuracy, reward = outcome.accuracy, nan
        if accuracy is None:
            return outcome, 0.0
        try:
            reward = float(self._reward(job, accuracy)) if isfinite(accuracy) else nan
            error = f"accuracy is {accuracy:g}, its reward {reward:g}"
        except Exception as raised:  # noqa: BLE001  a reward may be the user's own
            error = f"accuracy is {accuracy:g}, its reward failed: {in_one_line(raised)}"
        if isfinite(reward):
            return outcome, reward
        return replace(outcome, accuracy=None, read=None, error=error, weights=None), 0.0

    def _reuse_outcome(self, job: J, known: Trial) -> None:
        job = replace(job, latencies=job.latencies or known.latencies)
        outcome = Outcome(known.accuracy, known.error, px=known.px, read=known.read)
        self._finish(job, *self._scored(job, outcome))

    def _finish(self, job: J, outcome: Outcome, reward: float) -> None:
        """Write a trial to disk, and those of its duplicates."""
        trial = Trial.of(job, outcome, reward=reward)
        self.logs.add(trial)
        self._batch.trials[job.key] = trial
        self._watcher.finished(trial, replayed=False)
        for duplicate in self._batch.duplicates.pop(job.key, ()):
            self._reuse_outcome(duplicate, trial)


def run_serially(runner: BatchRunner[J], evaluate: Evaluate[J]) -> None:
    """Train every job here and now, one after another."""
    while (job := runner.next_job()) is not None:
        runner.record(job, attempt(evaluate, job))
