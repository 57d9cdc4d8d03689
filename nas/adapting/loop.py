"""NetAdapt's loop over a run folder: what to fine-tune next, from the log alone.

A step's proposals are written down before the first of them trains, each outcome when it is there, with its
weights. So an interrupted run resumes by replay, loses at most the proposals that were training, and any
number of workers gives the same log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from latency import DeviceLostError, Latency, MeasurementError
from nas.adapting.baselines import OURS, keeps_weights
from nas.adapting.final_training import Reached
from nas.adapting.job import AdaptJob, Planned, StepPlan, confirmed_path, read_confirmed
from nas.adapting.watching import AdaptWatcher
from nas.atomic_files import read_json, write_whole
from nas.engine.job_loop import SearchStoppedError
from nas.engine.memoized_source import Remembering
from nas.engine.run_folder import RunFolder
from nas.engine.trial import Job, Outcome, Trial, trial_seed
from nas.engine.trial_log import Key, TrialLog
from nas.training.recipe import Recipe
from netadapt.shrink import Shrink
from search_spaces import InputError
from search_spaces.spec import to_yaml


class AdaptLoop:
    """`next_job` until `done`, `record` for each job; NetAdapt's steps, then the last trainings.

    Args:
        shrink: NetAdapt's loop, fresh.
        latency: The function that `shrink` asks.
        weights: The seed's state dict, serialized by `torch.save`.
        folder: Where everything is kept; what it holds already is replayed.
        run_seed: Of everything random.
        recipe: Of a proposal's fine-tuning, its length in steps.
        last: What to train once the loop has ended; the same for the same folder.
        watcher: Is told what happens.
        hold: Keeps the device from other runs while latencies are asked for: see `nas.engine.workers.hold`.

    Attributes:
        family: The proposals chosen, one a step.
        done: Whether there is nothing left to train.
        failure: Why it cannot go on, or None.

    Raises:
        InputError: The folder's log belongs to another run.
    """

    def __init__(
        self,
        shrink: Shrink,
        *,
        latency: Remembering,
        weights: bytes,
        folder: RunFolder,
        run_seed: int,
        recipe: Recipe,
        last: Callable[[Reached], Sequence[AdaptJob]],
        watcher: AdaptWatcher,
        hold: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.shrink, self.latency, self.weights, self.folder = shrink, latency, weights, folder
        self.run_seed, self.recipe, self.last, self.watcher = run_seed, recipe, last, watcher
        self.seed_accuracy = shrink.current.accuracy
        self.log = TrialLog(folder / "proposals.jsonl")
        self.final_log = TrialLog(folder / "finals.jsonl")
        self.family: list[Trial] = []
        self.done = False
        self.failure: str | None = None
        self.hold = hold
        self._asked = 0
        self._batch: list[AdaptJob] = []
        self._queue: list[AdaptJob] = []
        self._settled: dict[Key, Trial] = {}
        self._finishing = False

    def next_job(self) -> AdaptJob | None:
        """The next network to train, or None: all is done, or waits for jobs that are out.

        Raises:
            SearchStoppedError: The device is lost, or cannot measure the network that was chosen.
        """
        try:
            while not self.done and len(self._settled) == len(self._batch):
                with self.hold():
                    self._close()
                    self._open()
        except DeviceLostError as lost:
            raise SearchStoppedError.of_lost(lost) from lost
        return self._queue.pop(0) if self._queue else None

    def record(self, job: Job, outcome: Outcome) -> None:
        """Keep a job's outcome; afterwards it survives a `kill -9`."""
        assert isinstance(job, AdaptJob)
        if outcome.weights is not None and keeps_weights(job.kind):
            path = weights_path(self.folder, job)
            path.parent.mkdir(exist_ok=True)
            write_whole(path, outcome.weights)
        self._settle(job, outcome)

    def _settle(self, job: AdaptJob, outcome: Outcome) -> None:
        score, accuracy = 0.0, outcome.accuracy
        if accuracy is not None and not math.isfinite(accuracy):
            outcome = Outcome(None, f"accuracy is {accuracy:g}", outcome.train_s)
        elif accuracy is not None and keeps_weights(job.kind) and outcome.weights is None:
            outcome = Outcome(None, "its training gave no weights back", outcome.train_s)
        if outcome.accuracy is not None and job.kind == "proposal":
            assert job.latency is not None
            score = self.shrink.score(outcome.accuracy, job.latency.median_ms)
        trial = Trial.of(job, outcome, reward=score)
        (self.final_log if self._finishing else self.log).add(trial)
        self._settled[job.kind, job.index] = trial
        self.watcher.tuned(job, trial, replayed=False)

    def _open(self) -> None:
        """Begin the next step, or the last trainings, or end."""
        if self._finishing or self.failure is not None:
            self.done = True
        elif not self.shrink.done and (jobs := self._proposals()):
            self._begin(jobs, self.log)
        elif self.failure is None:
            self._finishing = True
            self.watcher.ending(self.shrink)
            now = self.shrink.current.spec
            reading = self.latency.reading(now)
            jobs = list(self.last(Reached(now, reading, self.weights, tuple(self.family))))
            self._begin(jobs, self.final_log)

    def _proposals(self) -> list[AdaptJob]:
        """The step's proposals: those written down, or new ones."""
        step, first = self.shrink.steps, self._asked
        plan = self._planned()
        self._asked += len(plan)
        return [
            AdaptJob(
                index=first + place,
                kind="proposal",
                batch=step,
                tokens=(),
                spec=planned.spec,
                # All proposals of a step see the same images in the same order.
                seed=trial_seed(self.run_seed, step, "proposal"),
                latency=planned.latency,
                name=planned.name,
                recipe=self.recipe,
                parent=self.shrink.current.spec,
                weights=self.weights,
                problem=planned.problem and f"latency: {planned.problem}",
            )
            for place, planned in enumerate(plan)
        ]

    def _planned(self) -> Sequence[Planned]:
        path = self.folder / "plans" / f"step-{self.shrink.steps}.json"
        if path.is_file():
            kept = StepPlan.from_dict(read_json(path))
            for planned in kept.proposals:
                if planned.latency is not None:
                    self.latency.know(planned.spec, planned.latency)
            if not kept.proposals:
                self.shrink.nothing_proposed()
            return kept.proposals
        self.watcher.proposing(self.shrink)
        step = self.shrink.next_step()
        if self.shrink.unmeasured(step):
            lost = step.discarded[0]
            self.failure = (
                f"none of the {len(step.discarded)} networks of step {self.shrink.steps + 1} could "
                f"be measured: {lost.name}: {lost.reason}"
            )
            return []
        plan = [Planned(p.name, p.spec, self.latency.reading(p.spec)) for p in step.proposals]
        if plan:
            plan += [Planned(d.name, d.spec, None, d.reason) for d in step.discarded]
        path.parent.mkdir(exist_ok=True)
        content = json.dumps(StepPlan(step.delta_ms, plan).to_dict(), indent=1)
        write_whole(path, content + "\n")
        return plan

    def _begin(self, jobs: list[AdaptJob], log: TrialLog) -> None:
        """Queue what is not in the log yet, the dearest first."""
        self._batch, self._settled = jobs, {}
        keys = [(job.kind, job.index) for job in jobs]
        done = log.open_batch(keys)
        if again := self._to_try_again(jobs, done):
            log.drop_failed(again)
            done = log.open_batch(keys)
        for job in jobs:
            trial = done.get((job.kind, job.index))
            if trial is None:
                continue
            if trial.fingerprint != job.spec.fingerprint:
                raise InputError(
                    f"{log.path}: {job.kind} {job.index} is not what this run would ask: the log belongs "
                    "to another seed, device or version; resume with the ones that wrote it"
                )
            self._settled[job.kind, job.index] = trial
            self.watcher.tuned(job, trial, replayed=True)
        left = [job for job in jobs if (job.kind, job.index) not in self._settled]
        # The dearest first: then no worker waits long at the end.
        self._queue = sorted((job for job in left if not job.problem), key=lambda job: -job.work)
        if self._queue:
            self.watcher.tuning(self.shrink, self._queue, finishing=self._finishing)
        for job in left:
            if job.problem:
                self._settle(job, Outcome(None, job.problem))

    def _to_try_again(self, jobs: Sequence[AdaptJob], done: Mapping[Key, Trial]) -> list[Key]:
        """Failures that would end a run that is gone on with as they ended it before.

        They are those of a step, or of the last trainings, of which none has succeeded. Where width is
        given back a step may fail: the run has gone on without it.
        """
        if self.shrink.giving_back and not self._finishing:
            return []
        mine = [
            (job.kind, job.index)
            for job in jobs
            if not job.problem and (job.kind in OURS or not self._finishing)
        ]
        whole = all(key in done and not done[key].ok for key in mine)
        return mine if whole else []

    def _close(self) -> None:
        """The step is whole: go on with the best proposal."""
        if self._finishing or not self._batch:
            return
        trials = [self._settled[job.kind, job.index] for job in self._batch]
        place = self.shrink.choose(
            [(job.spec, job.latency.median_ms if job.latency else math.inf) for job in self._batch],
            [trial.accuracy for trial in trials],
        )
        self._batch, self._settled = [], {}
        if place is None and not self.shrink.stuck:  # it has reached the target without them
            return
        if place is None:
            self.failure = f"all {len(trials)} proposals of a step failed: {trials[0].error}"
            return
        chosen = trials[place]
        self.weights = self._keep(self.shrink.steps, chosen)
        self.family.append(replace(chosen, latency=self._confirm() or chosen.latency))
        for trial in trials:
            weights_path(self.folder, trial).unlink(missing_ok=True)
        self.watcher.chosen(self.shrink, chosen)

    def _confirm(self) -> Latency | None:
        """The step's network measured once more, by itself; None where nothing is measured."""
        now = self.shrink.current.spec
        path = confirmed_path(self.folder, self.shrink.steps)
        kept = read_confirmed(path)
        try:
            reading = kept or self.latency.confirm(now)
        except DeviceLostError:
            raise
        except MeasurementError as error:
            raise SearchStoppedError(
                f"the network of step {self.shrink.steps} could not be measured once more: {error}"
            ) from error
        if reading is None:
            return None
        if kept is None:
            write_whole(path, json.dumps(reading.to_dict()) + "\n")
        self.latency.know(now, reading)
        self.shrink.confirm(reading.median_ms)
        return reading

    def _keep(self, step: int, chosen: Trial) -> bytes:
        """Put the step's network with the family; its weights."""
        family = self.folder / "family"
        family.mkdir(exist_ok=True)
        write_whole(family / f"step-{step}.yaml", to_yaml(self.shrink.current.spec))
        kept = family / f"step-{step}.pt"
        fresh = weights_path(self.folder, chosen)
        if fresh.exists():
            write_whole(kept, fresh.read_bytes())
        return kept.read_bytes()


def weights_path(folder: RunFolder, trained: Job | Trial) -> Path:
    """Where the weights of a proposal, or of the last network, are kept."""
    return folder / "weights" / f"{trained.kind}-{trained.index}.pt"
