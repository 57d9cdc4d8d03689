"""The search (MnasNet, figure 1): ask for networks, train them, learn from their rewards.

The plan yields batches of jobs and is sent their trials; `nas.engine.runner` measures, trains and logs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from controllers import Controller
from latency import Latency
from nas.engine.folder.run_folder import RunFolder
from nas.engine.hopeless import HOPELESS
from nas.engine.job import RIVAL, RIVAL_RUNG, RIVAL_TRIAL, RIVALS, Job, Kind, trial_seed
from nas.engine.measuring import Progress, Reading
from nas.engine.run_logs import RunLogs
from nas.engine.runner import BatchRunner
from nas.engine.trial import Trial
from nas.engine.watching import Several, Watcher, notify_fitting
from nas.searching.fidelity import Fidelity, FullLength
from nas.searching.from_parent.curve import Curve
from nas.searching.from_parent.recovery import Recovery
from nas.searching.from_parent.rivals import Rival
from nas.searching.results.estimates import distinct, estimates, finalists
from nas.searching.teacher_cost import Slowdown, no_teacher
from nas.searching.time_budget import TimeBudget, TrainingTimes
from search_spaces import ArchSpec, SearchSpace, Tokens

TRIALS: frozenset[Kind] = frozenset({"search", "rung"})
"""Kinds of trial that the controller learns from; each network trains once per kind."""


@dataclass(frozen=True)
class Budget:
    """How much a search does.

    Attributes:
        trials: Candidates to train, at most.
        batch_size: Candidates per controller update.
        finalists: Candidates trained longer at the end.
        repeats: Trials trained once more with another seed, which shows the noise.
        seed: Random seed of the run.
        wall_time_s: Wall time that ends the run, for the record; `time_budget` enforces it.
    """

    trials: int
    batch_size: int
    finalists: int
    repeats: int
    seed: int
    wall_time_s: float | None = None


class SearchPlan:
    """Plans a search; call it once for the generator that a runner drives.

    Args:
        space: Decodes tokens to networks.
        controller: Fresh, seeded with the run's seed.
        reward: Called with (accuracy in 0..1, latency in ms on each device).
        targets_ms: One per device; finalists are taken from the candidates within them first.
        budget: How much to do.
        watcher: Receives the events of the run.
        time_budget: Decides each batch's size where wall time ends the search; receives the events as well.
        fidelity: How candidates train: in full by default.
        final_length: Length of a finalist's training in trials, for the order of the queue only.
        slowdown: How much longer finalists train because of a teacher.
        rivals: Networks to compare finalists with, which train before the first trial; those of the space
            that are nearest to them are the first candidates.
        curve: Proposes candidates and finalists at further latencies.

    Attributes:
        trials: The candidates that have trained in full so far; they compare with each other.
        recoveries: Make trials of different resolutions comparable, by what the rivals show: for each kind
            of short training.
    """

    def __init__(
        self,
        space: SearchSpace,
        controller: Controller,
        *,
        reward: Callable[[float, Sequence[float]], float],
        targets_ms: Sequence[float],
        budget: Budget,
        watcher: Watcher,
        time_budget: TimeBudget | None = None,
        fidelity: Fidelity | None = None,
        final_length: float = 4.0,
        slowdown: Slowdown = no_teacher,
        rivals: Sequence[Rival] = (),
        curve: Curve | None = None,
    ) -> None:
        self.space, self.controller, self.reward = space, controller, reward
        self.targets_ms, self.budget, self.final_length = tuple(targets_ms), budget, final_length
        self.watcher = Several(time_budget, watcher) if time_budget else watcher
        self.time_budget, self.fidelity = time_budget, fidelity or FullLength()
        self.slowdown, self.rivals, self.curve = slowdown, tuple(rivals), curve
        self._openers = [rival.opener for rival in rivals if rival.opener is not None]
        self.trials: list[Trial] = []
        self.recoveries: dict[Kind, Recovery] = {}
        self._asked = self._batch = 0

    def __call__(self) -> Generator[list[Job], list[Trial], list[Trial]]:
        """Yield batches of jobs, be sent their trials; return the final trainings."""
        if self.rivals:
            kinds = [RIVAL, RIVAL_TRIAL, *([RIVAL_RUNG] if self.fidelity.has_rungs else [])]
            trained = yield [job for kind in kinds for job in self._rival_jobs(kind)]
            of_trials = Recovery.of(self.rivals, trained)
            self.recoveries = {
                "search": of_trials,
                "repeat": of_trials,
                "rung": Recovery.of(self.rivals, trained, short=RIVAL_RUNG),
            }
        lowest = 0.0
        while size := self._next_size():
            asked = list(enumerate(self._proposed(size), start=self._asked))
            candidates = yield from self.fidelity.train(asked, self._job)
            rewards = [self.fidelity.reward(trial, self.reward) for trial in candidates]
            # A failure counts 0, or the lowest reward so far where rewards are below 0.
            lowest = min([lowest, *rewards])
            scores = [
                reward if trial.ok else lowest
                for trial, reward in zip(candidates, rewards, strict=True)
            ]
            self.controller.tell([(t.tokens, s) for t, s in zip(candidates, scores, strict=True)])
            self.watcher.told(self._batch, self.controller)
            self.trials += [trial for trial in candidates if trial.kind == "search"]
            self._asked, self._batch = self._asked + size, self._batch + 1
        best, again = self._finals()
        return (
            yield [
                *(self._job("final", t.index, t.tokens, t.latencies) for t in best),
                *(self._job("repeat", t.index, t.tokens, t.latencies) for t in again),
            ]
        )

    def spec_of(self, trial: Trial) -> ArchSpec:
        """Return the network of a trial or a final training."""
        if trial.kind in RIVALS:
            return self.rivals[trial.index].spec
        return self.space.decode(trial.tokens)

    def adjusted(self, job: Job, accuracy: float) -> float:
        """Return the accuracy of a job as it compares with that of other resolutions."""
        recovery = self.recoveries.get(job.kind)
        return accuracy if recovery is None else recovery.comparable(accuracy, job.spec.resolution)

    def _proposed(self, size: int) -> list[Tokens]:
        """Return the next candidates: those nearest to the rivals, the curve's, and the controller's."""
        first = self._openers[self._asked : self._asked + size]
        if self.curve is not None:
            first += self.curve.candidates(self._asked + len(first), size - len(first), self.trials)
        rest = size - len(first)
        # Plain tuples: a list or NumPy's integers would differ from what the log returns.
        asked = self.controller.ask(rest) if rest else []
        return [*first, *(tuple(map(operator.index, chosen)) for chosen in asked)]

    def _rival_jobs(self, kind: Kind) -> list[Job]:
        """Return the rivals' trainings; those that the user named train as finalists do only."""
        return [
            Job(
                index=index,
                kind=kind,
                batch=0,
                tokens=(),
                spec=rival.spec,
                seed=trial_seed(self.budget.seed, index, kind),
                latencies=rival.latencies,
                length=self.final_length if kind == RIVAL else 1.0,
            )
            for index, rival in enumerate(self.rivals)
            if kind == RIVAL or rival.normalization is None
        ]

    def _job(
        self, kind: Kind, index: int, tokens: Tokens, latencies: tuple[Latency, ...] = ()
    ) -> Job:
        return Job(
            index=index,
            kind=kind,
            batch=self._batch,
            tokens=tokens,
            spec=self.space.decode(tokens),
            seed=trial_seed(self.budget.seed, index, kind),
            latencies=latencies,
            length=self.final_length if kind == "final" else 1.0,
        )

    def _next_size(self) -> int:
        """Candidates of the next batch; 0 ends the search."""
        most = min(self.budget.trials - self._asked, self.budget.batch_size)
        if self.time_budget is None:
            return max(0, most)
        size = self.time_budget.next_batch(most, self._final_times)
        if self.time_budget.room is not None:
            trials = min(self.budget.trials, self._asked + self.time_budget.room)
            notify_fitting(self.watcher, trials)
        return size

    def _finals(self) -> tuple[list[Trial], list[Trial]]:
        """The trials to train longer, and those to train once more."""
        # The rivals themselves train beside the finalists, so those nearest to them need not.
        opened = set(self._openers)
        tried = [trial for trial in self.trials if trial.tokens not in opened] or self.trials
        estimated = estimates(self.space.arities, self.trials)
        ranked = finalists(
            tried, targets_ms=self.targets_ms, reward=self.reward, estimates=estimated
        )
        best = ranked[: self.budget.finalists]
        if self.curve is not None:
            best += self.curve.finalists(tried, estimated, beside=best)
        # Repeats are the run's first trials: chosen before anything was known, so that their two
        # readings differ by noise alone (the best trial's first reading is lucky as well).
        return best, distinct(self.trials)[: self.budget.repeats]

    def _final_times(self) -> TrainingTimes:
        """How long the trials took that would train again if the search ended now.

        Of a finalist, how long its trial would take with the teacher.
        """
        trained_s = {t.fingerprint: t.train_s for t in reversed(self.trials) if t.ok}
        best, again = self._finals()
        taught_s = [self.slowdown(t.madds) * trained_s[t.fingerprint] for t in best]
        return taught_s, [trained_s[t.fingerprint] for t in again]


def search_runner(
    plan: SearchPlan,
    folder: RunFolder,
    measure: Callable[[Sequence[ArchSpec], Progress], list[Reading]],
) -> BatchRunner[Job]:
    """Return what runs a search in a run's folder.

    Args:
        plan: Fresh.
        folder: Its logs are replayed.
        measure: Returns the latencies of networks on each device.

    Raises:
        InputError: A log is damaged.
    """
    return BatchRunner(
        plan(),
        logs=RunLogs(
            folder,
            "trials.jsonl",
            TRIALS,
            early=RIVALS,
            devices=len(plan.targets_ms),
        ),
        reward=lambda job, accuracy: plan.reward(accuracy, [ms.median_ms for ms in job.latencies]),
        watcher=plan.watcher,
        measure=measure,
        reuse=TRIALS,
        adjust=plan.adjusted,
        hopeless=HOPELESS,
    )
