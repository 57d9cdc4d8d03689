"""Forecast a NetAdapt run: the number of steps, the amount of training, the time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from latency import DeviceLostError, Latency, MeasurementError
from latency.estimates.lazy_table import LazyTable
from latency.estimates.pieces import pieces
from nas.adapting.config import AdaptConfig
from nas.adapting.final_training import curve_steps
from nas.adapting.job import teaching, work
from nas.adapting.kinds import FINETUNE
from nas.engine.memoized_source import CONFIRMATIONS, MemoizedSource
from nas.training.recipe import Recipe
from nas.training.speed import training_speed
from netadapt import Group, Schedule, narrowed
from search_spaces import ArchSpec, count

QUESTIONS = 6
"""Approximate number of networks measured to find the width of one proposal: see `netadapt.widest`."""

MULTIPLIERS_ASKED = 11
"""Approximate number of networks measured to find a width multiplier."""

NEIGHBOURS = 3
"""Approximate number of groups whose proposals contain pieces not timed yet after a step: those that share
a block with the narrowed group. All other pieces are timed in the first step."""

MOST_STEPS = 10_000
"""A run that needs more steps than this never reaches its target: delta decays too fast."""


@dataclass(frozen=True)
class Workload:
    """Amount of training, in MAdds of forward passes: see `nas.adapting.job.work`.

    Attributes:
        config: The run's settings.
        train_images: Size of the training split.
        teacher_madds: Multiply-adds of the teacher; 0 without one.
    """

    config: AdaptConfig
    train_images: int
    teacher_madds: int = 0

    @property
    def tuning(self) -> Recipe:
        """Recipe of a proposal's fine-tuning, its length in steps."""
        return self.config.recipe.in_steps(self.train_images)

    @property
    def final(self) -> Recipe:
        """Final recipe, its length in steps."""
        return self.config.final_recipe.in_steps(self.train_images)

    def steps_left(self, now_ms: float, *, saves_ms: float) -> int | None:
        """Return the number of steps to the target; None if delta decays too fast to reach it.

        Args:
            now_ms: Latency of the current network.
            saves_ms: Saving of the next step, above 0; later ones save less if delta decays.
        """
        steps = 0
        while now_ms > self.config.target_ms * (1 + 1e-9):
            now_ms -= saves_ms * self.config.decay**steps
            steps += 1
            if steps > MOST_STEPS:
                return None
        return steps

    def proposals(self, spec: ArchSpec, number: int) -> int:
        """Return the work of fine-tuning `number` proposals as large as `spec`."""
        return number * work(spec, self.tuning)

    def to_come(self, spec: ArchSpec, now_ms: float, *, proposals: int, steps: int) -> int:
        """Return the work of further proposals and the final trainings, while networks shrink.

        Args:
            spec: The current network.
            now_ms: Its latency; work is assumed to be proportional to it.
            proposals: Number of proposals in the remaining steps.
            steps: Number of steps of the whole run.
        """
        end = min(1.0, self.config.target_ms / now_ms)
        tuning = self.proposals(spec, proposals) * (1 + end) / 2
        taught = self.teaching_proposals(proposals) + self.teaching(steps)
        return round(tuning + end * self.final_work(spec, steps)) + taught

    def baselines_sought(self, steps: int) -> int:
        """Return the number of baselines to find after `steps` steps."""
        return 0 if self.config.compare == "none" else 1 + len(curve_steps(steps))

    def final_work(self, spec: ArchSpec, steps: int) -> int:
        """Return the work of the final trainings of networks as large as `spec`, after `steps` steps."""
        config, once, tuned = self.config, work(spec, self.final), work(spec, self.tuning)
        kinds = config.final_trainings()
        if config.compare == "none":
            return len(kinds) * once
        ours_and_theirs = 2 * config.compare_seeds * len(kinds) * once
        longer = config.compare_seeds * steps * tuned if FINETUNE in kinds else 0
        return ours_and_theirs + longer + sum(curve_steps(steps)) * tuned

    def teaching(self, steps: int) -> int:
        """Return the work that the teacher adds to the final trainings, after `steps` steps."""
        config, madds = self.config, self.teacher_madds
        kinds, once = config.final_trainings(), teaching(self.final, madds)
        if config.compare == "none":
            return len(kinds) * once
        longer = steps * teaching(self.tuning, madds) if FINETUNE in kinds else 0
        curve = self.teaching_proposals(sum(curve_steps(steps)))
        return config.compare_seeds * (2 * len(kinds) * once + longer) + curve

    def teaching_proposals(self, number: int) -> int:
        """Return the work that the teacher adds to fine-tuning `number` proposals, if it teaches them."""
        taught = self.config.teach_proposals
        return number * teaching(self.tuning, self.teacher_madds) if taught else 0


@dataclass(frozen=True)
class Forecast:
    """Expected course and duration of a run.

    Attributes:
        groups: Number of groups: widths, and depths if proposals may reduce them.
        delta_ms: Minimum saving of the first step: delta, or a fraction of it if no group can save that.
        savings_ms: Largest possible saving of each group, where known.
        steps: Expected number; None if delta decays too fast to reach the target.
        seconds_a_work: Seconds per unit of `Workload`, on all workers together.
        tuning_s: Fine-tuning of all proposals.
        final_s: Final trainings.
        first_s: Measuring for the first step, after every group's minimum width has been measured.
        step_s: Measuring for each later step.
        ends_s: Finding baselines.
    """

    groups: int
    delta_ms: float
    savings_ms: Sequence[float]
    steps: int | None
    seconds_a_work: float
    tuning_s: float
    final_s: float
    first_s: float
    step_s: float
    ends_s: float

    def able_to_give(self, ms: float) -> int:
        """Return how many groups can save this much in the first step."""
        return sum(most_ms >= ms for most_ms in self.savings_ms)

    @property
    def able(self) -> int:
        """Groups that can save delta; each makes a proposal. 0 if no group can save an eighth of it."""
        return self.able_to_give(self.delta_ms)

    @property
    def latency_s(self) -> float:
        """Measuring, in total."""
        steps = self.steps or 0
        return min(steps, 1) * self.first_s + max(0, steps - 1) * self.step_s + self.ends_s

    @property
    def total_s(self) -> float:
        """The whole run."""
        return self.tuning_s + self.final_s + self.latency_s


def forecast(
    workload: Workload,
    seed: ArchSpec,
    latency: MemoizedSource,
    *,
    px: int,
    val_images: int,
    workers: int,
) -> Forecast:
    """Forecast a run by measuring each group at its minimum width and timing a few training steps.

    Intermediate networks are assumed to cost the mean of seed and target. The latencies measured here are
    the first that the run itself needs.

    Args:
        workload: The run's training.
        seed: The seed's network.
        latency: Returns latencies.
        px: Resolution that proposals train at.
        val_images: Number of held-out images.
        workers: Number of proposals trained at once.

    Raises:
        DeviceLostError: The device is lost.
    """
    config, seed_ms = workload.config, latency(seed)
    groups = config.loop.groups(seed)
    begin = time.perf_counter()
    least = [found for group in groups if (found := _least(seed, group, config, latency))]
    spent_s = time.perf_counter() - begin
    savings_ms = [seed_ms - reading.median_ms for _, reading in least]
    delta_ms, able = 0.0, 0
    for delta_ms in Schedule(seed_ms, config.delta, config.decay).deltas_ms(0):
        delta_ms = min(delta_ms, seed_ms - config.target_ms)
        able = sum(most_ms >= delta_ms for most_ms in savings_ms)
        if able:
            break
    steps = workload.steps_left(seed_ms, saves_ms=delta_ms)
    rate = training_speed(seed, workload.tuning, px=px, threads=config.schedule.cpus_per_trial)
    seconds_a_work = 1 / (rate * count(seed).madds * max(1, workers))
    images = (workload.tuning.steps or 0) * workload.tuning.batch_size
    scored = 1 + val_images / (3 * images)  # the forward pass is a third of a training step
    way = (1 + config.target_ms / seed_ms) / 2
    number = steps or 0
    tuning = number * way * scored * workload.proposals(seed, able)
    tuning += workload.teaching_proposals(number * able)
    last = config.target_ms / seed_ms * workload.final_work(seed, number)
    last += workload.teaching(number)
    asking = _asking(seed, least, latency, spent_s)
    return Forecast(
        groups=len(groups),
        delta_ms=delta_ms,
        savings_ms=savings_ms,
        steps=steps,
        seconds_a_work=seconds_a_work,
        tuning_s=tuning * seconds_a_work,
        final_s=last * seconds_a_work,
        first_s=QUESTIONS * able * asking.new_s,
        step_s=(len(least) + QUESTIONS * able) * asking.later_s + asking.confirm_s,
        ends_s=workload.baselines_sought(number)
        * (MULTIPLIERS_ASKED * asking.other_s + asking.confirm_s),
    )


@dataclass(frozen=True)
class Asking:
    """Seconds to measure a network.

    Attributes:
        new_s: With one group narrower than in the seed.
        later_s: The same in a later step.
        other_s: With all groups narrower.
        confirm_s: To confirm a chosen network.
    """

    new_s: float
    later_s: float
    other_s: float
    confirm_s: float


def _asking(
    seed: ArchSpec,
    least: Sequence[tuple[ArchSpec, Latency]],
    latency: MemoizedSource,
    spent_s: float,
) -> Asking:
    """Estimate the times from the first measurements."""
    # A cached reading took no time now, but a new network's will.
    ran_s = sum(reading.samples * reading.median_ms for _, reading in least) / 1e3
    asked_s = max(spent_s, ran_s) / max(1, len(least))
    if not isinstance(latency.source, LazyTable):
        confirm_s = 0.0 if latency.device.estimate else CONFIRMATIONS * asked_s
        return Asking(asked_s, asked_s, asked_s, confirm_s)
    known = {piece.key for piece in pieces(seed)}
    new = sum(len({piece.key for piece in pieces(spec)} - known) for spec, _ in least)
    whole = latency.reading(seed)
    in_turns_s = 2 * whole.samples * whole.median_ms / 1e3  # interleaved with the seed
    return Asking(
        new_s=asked_s,
        later_s=asked_s * min(1.0, NEIGHBOURS / max(1, len(least))),
        other_s=spent_s / max(1, new) * len(known),
        confirm_s=CONFIRMATIONS * in_turns_s,
    )


def _least(
    seed: ArchSpec, group: Group, config: AdaptConfig, latency: MemoizedSource
) -> tuple[ArchSpec, Latency] | None:
    """Return the network with the group at its minimum width, or None if there is none or it fails."""
    narrower = group.smaller(config.loop.widths)
    if not narrower:
        return None
    try:
        spec = narrowed(seed, group, narrower[0])
        return spec, latency.reading(spec)
    except DeviceLostError:
        raise
    except MeasurementError:
        return None
