"""NetAdapt (arXiv 1804.03230, algorithm 1) as a plan: propose, fine-tune, go on with the best.

Which networks to propose and which to choose is decided in `netadapt`. This plan measures, keeps each step
on disk, and hands the fine-tuning to `nas.engine.runner`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from latency import DeviceLostError, Latency, MeasurementError
from nas.adapting.family import Family, Planned, StepPlan
from nas.adapting.final_training import Reached
from nas.adapting.job import AdaptJob
from nas.adapting.ranking import Rank
from nas.adapting.watching import AdaptWatcher
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Key, Kind, trial_seed
from nas.engine.memoized_source import MemoizedSource
from nas.engine.run_logs import RunLogs
from nas.engine.runner import BatchRunner, RunStoppedError
from nas.engine.trial import Trial
from nas.training.recipe import Recipe
from netadapt.shrink import Shrink

if TYPE_CHECKING:
    from netadapt.channel_selection import ChannelOrder

PROPOSALS: frozenset[Kind] = frozenset({"proposal"})


class AdaptPlan:
    """Plans a NetAdapt run; call it once for the generator that a runner drives, and which it watches.

    Args:
        shrink: NetAdapt's decisions, fresh.
        latency: The function that `shrink` asks.
        weights: The seed's state dict, serialized by `torch.save`.
        family: Where each step is kept.
        run_seed: Random seed of the run.
        recipe: Recipe of a proposal's fine-tuning, its length in steps.
        final: What to train once the target is reached.
        teacher_madds: Multiply-adds of the teacher of proposals; 0 without one.
        rank: Orders a network's channels by importance; None selects them by a worker's rule.
        watcher: Receives the events of the run.
        hold: Keeps the device from other runs while latencies are asked for: see `nas.engine.workers.hold`.

    Attributes:
        trials: The proposals chosen, one per step.
    """

    def __init__(
        self,
        shrink: Shrink,
        *,
        latency: MemoizedSource,
        weights: bytes,
        family: Family,
        run_seed: int,
        recipe: Recipe,
        final: Callable[[Reached], Sequence[AdaptJob]],
        watcher: AdaptWatcher,
        hold: Callable[[], AbstractContextManager[object]] = nullcontext,
        rank: Rank | None = None,
        teacher_madds: int = 0,
    ) -> None:
        self.shrink, self.latency, self.weights = shrink, latency, weights
        self.family, self.run_seed, self.recipe = family, run_seed, recipe
        self.final, self.watcher, self.hold, self.rank = final, watcher, hold, rank
        self.teacher_madds = teacher_madds
        self.trials: list[Trial] = []
        self._jobs: dict[Key, AdaptJob] = {}
        self._proposed = 0

    def __call__(self) -> Generator[list[AdaptJob], list[Trial], list[Trial]]:
        """Yield each step's proposals, be sent their trials; return the final trainings."""
        while not self.shrink.done:
            with self.hold():
                planned = self._planned(self.shrink.steps)
            if not planned:
                continue
            jobs = self._proposals(planned)
            trials = yield self._remember(jobs)
            with self.hold():
                self._accept(jobs, trials)
        self.watcher.ending(self.shrink)
        with self.hold():
            spec = self.shrink.current.spec
            reading = self.latency.reading(spec)
            jobs = list(self.final(Reached(spec, reading, self.weights, tuple(self.trials))))
        return (yield self._remember(jobs))

    def reward(self, job: AdaptJob, accuracy: float) -> float:
        """Return the score that a proposal is chosen by (`Shrink.score`); 0 for final trainings."""
        if job.kind not in PROPOSALS or job.latency is None:
            return 0.0
        return self.shrink.score(accuracy, job.latency.median_ms)

    def measuring(self, done: int, total: int) -> None:
        """See `RunWatcher`: jobs bring their latencies, so nothing is measured."""

    def training(self, jobs: Sequence[AdaptJob]) -> None:
        """See `RunWatcher`."""
        self.watcher.tuning(self.shrink, jobs, finishing=jobs[0].kind not in PROPOSALS)

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """See `RunWatcher`."""
        self.watcher.tuned(self._jobs[trial.key], trial, replayed=replayed)

    def _remember(self, jobs: list[AdaptJob]) -> list[AdaptJob]:
        self._jobs = {job.key: job for job in jobs}
        return jobs

    def _proposals(self, planned: Sequence[Planned]) -> list[AdaptJob]:
        """Return the jobs of a step."""
        step, first, order = self.shrink.steps, self._proposed, self._order()
        self._proposed += len(planned)
        return [
            AdaptJob(
                index=index,
                kind="proposal",
                batch=step,
                tokens=(),
                spec=proposal.spec,
                # All proposals of a step see the same images in the same order.
                seed=trial_seed(self.run_seed, step, "proposal"),
                latencies=() if proposal.latency is None else (proposal.latency,),
                problem=proposal.problem and f"latency: {proposal.problem}",
                name=proposal.name,
                recipe=self.recipe,
                parent=self.shrink.current.spec,
                weights=self.weights,
                teacher_madds=self.teacher_madds,
                order=order,
            )
            for index, proposal in enumerate(planned, start=first)
        ]

    def _order(self) -> ChannelOrder | None:
        """Order the current network's channels, unless none of them goes."""
        if self.rank is None or self.shrink.widening:
            return None
        self.watcher.ranking(self.shrink)
        return self.rank(self.shrink.current.spec, self.weights)

    def _planned(self, step: int) -> Sequence[Planned]:
        """A step's proposals with their latencies.

        Raises:
            RunStoppedError: None could be measured.
        """
        if (kept := self.family.planned(step)) is not None:
            for proposal in kept.proposals:
                if proposal.latency is not None:
                    self.latency.know(proposal.spec, proposal.latency)
            self.shrink.accept(kept.proposals)
            return kept.proposals
        self.watcher.proposing(self.shrink)
        proposed = self.shrink.next_step()
        # Where a step widens, the target is reached with or without it.
        if self.shrink.unmeasured(proposed) and not proposed.widening:
            first = proposed.discarded[0]
            raise RunStoppedError(
                f"no width group of step {step + 1} could be measured: {first.name}: {first.reason}"
            )
        proposals = [
            Planned(p.name, p.spec, self.latency.reading(p.spec)) for p in proposed.proposals
        ]
        if proposals:
            proposals += [Planned(d.name, d.spec, None, d.reason) for d in proposed.discarded]
        self.family.keep_plan(step, StepPlan(proposed.delta_ms, proposals))
        return proposals

    def _accept(self, jobs: Sequence[AdaptJob], trials: Sequence[Trial]) -> None:
        """Continue from a step's best proposal.

        Raises:
            RunStoppedError: All have failed, or the best cannot be measured once more.
        """
        index = self.shrink.choose(
            [(job.spec, job.latency.median_ms if job.latency else math.inf) for job in jobs],
            [trial.accuracy for trial in trials],
        )
        if index is None:
            if self.shrink.stuck:
                raise RunStoppedError(
                    f"all {len(trials)} proposals of a step failed: {trials[0].error}"
                )
            return  # the target was reached without them
        chosen = trials[index]
        self.weights = self.family.keep_network(self.shrink.steps, self.shrink.current.spec, chosen)
        reading = self._confirm()
        self.trials.append(replace(chosen, latencies=(reading,)) if reading else chosen)
        self.family.drop_weights(trials)
        self.watcher.chosen(self.shrink, chosen)

    def _confirm(self) -> Latency | None:
        """Measure the step's network once more: the best of many noisy readings is biased low.

        Returns:
            None where nothing is measured.

        Raises:
            RunStoppedError: It cannot be measured.
        """
        step, spec = self.shrink.steps, self.shrink.current.spec
        kept = self.family.confirmed(step)
        try:
            reading = kept or self.latency.confirm(spec)
        except DeviceLostError:
            raise
        except MeasurementError as error:
            raise RunStoppedError(
                f"the network of step {step} could not be measured once more: {error}"
            ) from error
        if reading is None:
            return None
        if kept is None:
            self.family.keep_confirmed(step, reading)
        self.latency.know(spec, reading)
        self.shrink.confirm(reading.median_ms, low_ms=reading.ci95_ms[0])
        return reading


def adapt_runner(plan: AdaptPlan, folder: RunFolder) -> BatchRunner[AdaptJob]:
    """Return what runs a NetAdapt plan in a run's folder.

    Raises:
        InputError: A log is damaged.
    """
    # A resumed run may ask for another comparison; final trainings that it has stay.
    logs = RunLogs(folder, "proposals.jsonl", PROPOSALS, fixed_finals=False)
    return BatchRunner(plan(), logs=logs, reward=plan.reward, watcher=plan)
