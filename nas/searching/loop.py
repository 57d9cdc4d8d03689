"""The search loop: sample, measure, train, reward, learn; then train the best longer.

With multi-fidelity a batch trains twice: all of it for a first part, then the better ones in full.

The loop says what to train next and takes outcomes in any order; who trains (this process or Ray)
asks it. All it decides follows from the run's seed and the log, so an interrupted search resumes by
replaying the log, and any number of workers gives the same one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from controllers import Controller
from latency import DeviceLostError, MeasurementError
from nas.engine.batch import Batch
from nas.engine.job_loop import SearchStoppedError
from nas.engine.measuring import Tell, Told
from nas.engine.replay import require_planned, require_same
from nas.engine.run_folder import RunFolder
from nas.engine.trial import Job, Kind, Outcome, Trial, trial_seed
from nas.engine.trial_log import TrialLog
from nas.engine.watching import Watcher, tell_fitting
from nas.formatting import counted
from nas.searching.config import FidelityConfig
from nas.searching.estimates import distinct, estimates, finalists
from nas.searching.fidelity import Halving, candidates_worth
from nas.searching.time_budget import Allowance, Finals
from search_spaces import ArchSpec, InputError, SearchSpace, Tokens

HOPELESS = 3
"""Different networks that fail one after another, and no other, after which a search stops."""


@dataclass(frozen=True)
class Budget:
    """How much a search does.

    Attributes:
        trials: Candidates to train, at most.
        batch_size: Candidates a controller update.
        finalists: Candidates trained longer at the end.
        repeats: Trials trained once more with another seed, which shows the noise.
        seed: The run's.
        wall_time_s: What the run may take, where that ends it before the trials do.
    """

    trials: int
    batch_size: int
    finalists: int
    repeats: int
    seed: int
    wall_time_s: float | None = None


class TrialLoop:
    """The search as a state machine: `next_job` until `done`, `record` for each job.

    Args:
        space: Decodes tokens to networks.
        controller: Fresh, seeded with the run's seed.
        measure: The latencies of networks on each device; called while nothing trains.
        reward: Of (accuracy in 0..1, latency in ms on each device).
        targets_ms: Of each device; finalists are taken from the candidates within them first.
        budget: How much to do.
        folder: Where the logs are; what they hold already is replayed.
        watcher: Is told what happens.
        allowance: Says how large a batch may be, where wall time and not `budget.trials` ends the search.
        fidelity: Which candidates train in full; all of them by default.

    Raises:
        InputError: The folder's log was not written by this space, controller, seed and fidelity.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        controller: Controller,
        measure: Callable[[Sequence[ArchSpec], Tell], list[Told]],
        reward: Callable[[float, Sequence[float]], float],
        targets_ms: Sequence[float],
        budget: Budget,
        folder: RunFolder,
        watcher: Watcher,
        allowance: Allowance | None = None,
        fidelity: FidelityConfig | None = None,
    ) -> None:
        self.space, self.controller, self.measure, self.reward = space, controller, measure, reward
        self.targets_ms, self.budget = tuple(targets_ms), budget
        self.folder, self.watcher, self.allowance = folder, watcher, allowance
        self.fidelity = fidelity
        self.log, self.finals = folder.trials(), folder.finals()
        if self.log.trials and (self.log.trials[0].kind == "rung") != (fidelity is not None):
            raise InputError(
                f"{self.log.path}: it was written {'without' if fidelity else 'with'} multi-fidelity: "
                "resume with the settings that it began with"
            )
        self._let_finals_try_again()
        self.done = False
        self._halving = Halving(fidelity.keep if fidelity else 1.0)
        self._failed: dict[Kind, set[str]] = {}  # networks, since one has succeeded
        self._lowest = 0.0  # score: what a failure is told as, where rewards may be negative
        self._batch = Batch("search", self.log)
        # Of the batch: each candidate's longest training by index; and all that are new to the log.
        self._candidates: dict[int, Trial] = {}
        self._fresh: list[Trial] = []
        self._batches = 0
        self._asked = 0

    def _let_finals_try_again(self) -> None:
        """Where no finalist has trained to its end, a resumed run would end as it did before."""
        if not any(trial.ok and trial.kind == "final" for trial in self.finals.trials):
            self.finals.drop_failed()

    @property
    def trials(self) -> list[Trial]:
        """The candidates that have trained in full so far; they compare with each other."""
        return [trial for trial in self.log.trials if trial.kind == "search"]

    def next_job(self) -> Job | None:
        """The next network to train, or None: the search is done, or waits for jobs that are out.

        Raises:
            SearchStoppedError: A whole batch has failed, or a device is lost.
        """
        while not self.done and self._batch.complete:
            self._close()
            self._open()
        return self._batch.take()

    def record(self, job: Job, outcome: Outcome) -> None:
        """Keep a job's outcome; afterwards it survives a `kill -9`."""
        if outcome.weights is not None:
            self.folder.keep_weights(job.index, outcome.weights)
        self._settle(job, outcome)
        if self.allowance is not None:
            self.allowance.keep()

    def _open(self) -> None:
        """Begin the batch's full trainings, or the next batch of the search, or the finals, or end."""
        if self._batch.kind == "rung":
            on = self._halving.promoted(list(self._candidates.values()))
            self._begin("search", [("search", t.index, t.tokens) for t in on], self.log)
        elif self._batch.kind == "search" and (size := self._next_size()):
            self._open_search(size)
        elif self._batch.kind == "search" and (plan := self._plan_finals()):
            self._begin("final", plan, self.finals)
        else:
            self.done = True

    def _next_size(self) -> int:
        """Trials of the next batch; 0 where the search has ended."""
        most = min(self.budget.trials - self._asked, self.budget.batch_size)
        if most <= 0 or self.allowance is None:
            return max(0, most)
        size = self.allowance.batch(most, self._training_times)
        if self.allowance.room is not None:
            trials = min(self.budget.trials, self._asked + self.allowance.room)
            tell_fitting(self.watcher, trials)
        return size

    def _training_times(self) -> Finals:
        """Of what would be trained at the end if the search ended now."""
        finals: dict[Kind, list[float]] = {"final": [], "repeat": []}
        tried = {trial.index: trial for trial in self.trials}
        whole = [trial for trial in tried.values() if trial.ok]
        trained_s = {trial.fingerprint: trial.train_s for trial in reversed(whole)}
        for kind, index, _ in self._plan_finals():
            finals[kind].append(trained_s[tried[index].fingerprint])
        return finals["final"], finals["repeat"]

    def _plan_finals(self) -> list[tuple[Kind, int, Tokens]]:
        trials = self.trials
        told = estimates(self.space.arities, trials)
        ranked = finalists(trials, targets_ms=self.targets_ms, reward=self.reward, told=told)
        best = ranked[: self.budget.finalists]
        # Repeats are the run's first trials: chosen before anything was known, so that their two
        # readings differ by noise alone (the best trial's first reading is lucky as well).
        again = distinct(trials)[: self.budget.repeats]
        plan: list[tuple[Kind, int, Tokens]] = [("final", t.index, t.tokens) for t in best]
        return plan + [("repeat", t.index, t.tokens) for t in again]

    def _open_search(self, size: int) -> None:
        tokens = self.controller.ask(size)
        indices = range(self._asked, self._asked + size)
        self._asked += size
        self._candidates, self._fresh = {}, []
        kind = "rung" if self.fidelity else "search"
        self._begin(kind, [(kind, i, t) for i, t in zip(indices, tokens, strict=True)], self.log)

    def _begin(self, kind: Kind, plan: Sequence[tuple[Kind, int, Tokens]], log: TrialLog) -> None:
        """Find what of a batch is in the log already, measure the rest and queue it."""
        if kind == "final":
            require_planned(log, [(kind, index) for kind, index, _ in plan])
        done = log.open_batch([(kind, index) for kind, index, _ in plan])
        self._batch = Batch(kind, log)
        todo: list[tuple[Kind, int, Tokens]] = []
        for key_kind, index, tokens in plan:
            trial = done.get((key_kind, index))
            if trial is None:
                todo.append((key_kind, index, tokens))
                continue
            require_same(log, trial, tokens, space=self.space, devices=len(self.targets_ms))
            self._batch.settled[key_kind, index] = trial
            self.watcher.finished(trial, replayed=True)
        self._batch.fresh = bool(todo)
        self._prepare(todo)
        if left := self._batch.start():
            self.watcher.training(left)

    def _prepare(self, todo: Sequence[tuple[Kind, int, Tokens]]) -> None:
        """Make jobs; those are settled that cannot be measured, or are of a network tried before."""
        specs = [self.space.decode(tokens) for _, _, tokens in todo]
        tried = self._batch.tried()
        before = self._candidates  # empty while a batch has its first training
        if self._batch.kind == "final":
            before = {trial.index: trial for trial in self.trials}
        known = [
            before.get(index) or tried.get(spec.fingerprint)
            for (_, index, _), spec in zip(todo, specs, strict=True)
        ]
        told = self._measured(specs, known)
        for (kind, index, tokens), spec, answer in zip(todo, specs, told, strict=True):
            latencies = () if isinstance(answer, MeasurementError) else answer
            job = Job(
                index=index,
                kind=kind,
                batch=self._batches,
                tokens=tokens,
                spec=spec,
                seed=trial_seed(self.budget.seed, index, kind),
                latency=latencies[0] if latencies else None,
                other_latencies=latencies[1:],
            )
            self._batch.add(job)
            if (twin := tried.get(spec.fingerprint)) is not None:
                self._settle(job, Outcome(twin.accuracy, twin.error, px=twin.px))
            elif not latencies:
                self._settle(job, Outcome(None, f"latency: {answer}"))

    def _measured(self, specs: Sequence[ArchSpec], known: Sequence[Trial | None]) -> list[Told]:
        """The latencies of networks; of those that are known the first reading stands."""
        new = [spec for spec, trial in zip(specs, known, strict=True) if trial is None]
        try:
            answers = iter(self.measure(new, self.watcher.measuring) if new else ())
        except DeviceLostError as lost:
            raise SearchStoppedError.of_lost(lost) from lost
        return [next(answers) if trial is None else trial.latencies for trial in known]

    def _settle(self, job: Job, outcome: Outcome) -> None:
        outcome, reward = self._rewarded(job, outcome)
        trial = Trial.of(job, outcome, reward=reward)
        self._batch.log.add(trial)
        self._batch.settled[job.kind, job.index] = trial
        self.watcher.finished(trial, replayed=False)
        for twin in self._batch.twins(job):
            self._settle(twin, replace(outcome, train_s=0.0, weights=None))

    def _rewarded(self, job: Job, outcome: Outcome) -> tuple[Outcome, float]:
        """The outcome and its reward; a failure where one of them is no finite number."""
        if outcome.accuracy is None or not job.latencies:
            return outcome, 0.0
        reward = math.nan
        if math.isfinite(outcome.accuracy):
            reward = self.reward(outcome.accuracy, [each.median_ms for each in job.latencies])
        if math.isfinite(reward):
            return outcome, reward
        error = f"accuracy is {outcome.accuracy:g}, its reward {reward:g}"
        return replace(outcome, accuracy=None, error=error, weights=None), 0.0

    def _close(self) -> None:
        """The batch, or its first part, is whole.

        Raises:
            SearchStoppedError: Nothing succeeds: a mistake in what trains or measures, not in a network.
        """
        batch, trials = self._batch, self._batch.in_order()
        succeeded = any(trial.ok for trial in trials)
        before = self._failed.get(batch.kind, set())
        failed = set() if succeeded else before | {trial.fingerprint for trial in trials}
        self._failed[batch.kind] = failed
        nothing_works = batch.kind == "final" or len(failed) >= HOPELESS
        if batch.fresh and not succeeded and nothing_works:
            many = f"all {len(trials)} trials of a batch"
            if len(trials) == 1:
                many = f"the last {counted(max(1, len(failed)), 'network')}"
            raise SearchStoppedError(f"{many} failed: {trials[0].error}")
        if batch.kind == "final":
            return
        self._halving.learn(trials)
        self._candidates |= {trial.index: trial for trial in trials}
        self._fresh += [batch.settled[job.kind, job.index] for job in batch.jobs]
        if batch.kind == "search" and self._candidates:
            self._tell()

    def _tell(self) -> None:
        """The controller learns from the batch, in the order asked."""
        if self.allowance is not None and self._fresh:
            trained = [trial for trial in self._fresh if trial.train_s > 0]
            worth = candidates_worth(self.fidelity, trained)
            self.allowance.ended([trial.train_s for trial in trained], worth=worth)
        candidates = self._candidates.values()
        scores = self._halving.scores(candidates, self.reward)
        self._lowest = min([self._lowest, *(score for _, score in scores)])
        pairs = zip(scores, candidates, strict=True)
        self.controller.tell([(t, score if c.ok else self._lowest) for (t, score), c in pairs])
        self.watcher.told(self._batches, self.controller)
        self._batches += 1
