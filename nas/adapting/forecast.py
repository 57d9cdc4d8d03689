"""What a NetAdapt run is about to do: how many steps, how much training, how long."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from latency import DeviceLostError, Latency, MeasurementError
from latency.estimates.lazy_table import OnDemand
from latency.estimates.pieces import pieces
from nas.adapting.config import AdaptConfig
from nas.adapting.final_training import spread
from nas.adapting.job import in_steps, work
from nas.engine.memoized_source import CONFIRMATIONS, Remembering
from nas.training.recipe import Recipe
from nas.training.speed import training_speed
from netadapt import Group, Schedule, Widths, narrowed, width_groups
from search_spaces import ArchSpec, count

QUESTIONS = 6
"""Networks that are measured to find the width of one proposal, about: see `netadapt.widest`."""

MULTIPLIERS_ASKED = 11
"""Networks that are measured to find a width multiplier, about."""

NEIGHBOURS = 3
"""Groups, about, of whose proposals a device by pieces has not timed all once one group is narrower: those
that share a block with it. What is new of the others is in the first step."""

MOST_STEPS = 10_000
"""Where so many steps do not reach a target, more do not either: delta decays too fast."""


@dataclass(frozen=True)
class Workload:
    """What a run trains, in multiply-adds of forward passes: see `nas.adapting.job.work`.

    Attributes:
        config: The run's.
        train_images: In the training part.
    """

    config: AdaptConfig
    train_images: int

    @property
    def tuning(self) -> Recipe:
        """A proposal's recipe, its length in steps."""
        return in_steps(self.config.recipe, self.train_images)

    @property
    def final(self) -> Recipe:
        """The last network's."""
        return in_steps(self.config.final_recipe, self.train_images)

    def steps_left(self, now_ms: float, *, saves_ms: float) -> int | None:
        """Steps to the target; None if delta decays too fast for that.

        Args:
            now_ms: Latency of the current network.
            saves_ms: What the next step saves, above 0; those after it save less where delta decays.
        """
        steps = 0
        while now_ms > self.config.target_ms * (1 + 1e-9):
            now_ms -= saves_ms * self.config.decay**steps
            steps += 1
            if steps > MOST_STEPS:
                return None
        return steps

    def proposals(self, spec: ArchSpec, number: int) -> int:
        """Of fine-tuning so many proposals that cost as much as a network."""
        return number * work(spec, self.tuning)

    def to_come(self, spec: ArchSpec, now_ms: float, *, proposals: int, steps: int) -> int:
        """Of further proposals and then the last trainings, the networks ever smaller.

        Args:
            spec: The current network.
            now_ms: Its latency. Work is taken to be in proportion.
            proposals: Of further steps.
            steps: Of the whole way.
        """
        end = min(1.0, self.config.target_ms / now_ms)
        tuning = self.proposals(spec, proposals) * (1 + end) / 2
        return round(tuning + end * self.last(spec, steps))

    def challenges(self, steps: int) -> int:
        """Networks to find one of the same latency for, after so many steps."""
        return 0 if self.config.compare == "none" else 1 + len(spread(steps))

    def last(self, spec: ArchSpec, steps: int) -> int:
        """Of the last trainings, of networks that cost as much as one, after so many steps."""
        config, once, tuned = self.config, work(spec, self.final), work(spec, self.tuning)
        kinds = config.finals()
        if config.compare == "none":
            return len(kinds) * once
        ours_and_theirs = 2 * config.compare_seeds * len(kinds) * once
        longer = config.compare_seeds * steps * tuned if "finetune" in kinds else 0
        return ours_and_theirs + longer + sum(spread(steps)) * tuned


@dataclass(frozen=True)
class Forecast:
    """What a run will do and take.

    Attributes:
        groups: Width groups.
        delta_ms: What the first step saves at least: delta, or one of its halves if no group can give it.
        savings_ms: What each group can give at most, where that was told.
        steps: Expected; None if delta decays too fast to reach the target.
        seconds_a_work: Of one unit of `Workload`, on all workers.
        tuning_s: Of all proposals.
        last_s: Of the last trainings.
        first_s: Of measuring for the first step; every group was asked for its narrowest width before.
        step_s: Of measuring for each later one.
        ends_s: Of finding the networks to compare with.
    """

    groups: int
    delta_ms: float
    savings_ms: Sequence[float]
    steps: int | None
    seconds_a_work: float
    tuning_s: float
    last_s: float
    first_s: float
    step_s: float
    ends_s: float

    def able_to_give(self, ms: float) -> int:
        """Groups that can save so much in the first step."""
        return sum(most_ms >= ms for most_ms in self.savings_ms)

    @property
    def able(self) -> int:
        """Groups that can give delta: each makes a proposal. 0 if none can give even the smallest half."""
        return self.able_to_give(self.delta_ms)

    @property
    def latency_s(self) -> float:
        """Of measuring, all in all."""
        steps = self.steps or 0
        return min(steps, 1) * self.first_s + max(0, steps - 1) * self.step_s + self.ends_s

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.tuning_s + self.last_s + self.latency_s


def forecast(
    workload: Workload,
    seed: ArchSpec,
    latency: Remembering,
    *,
    px: int,
    val_images: int,
    workers: int,
) -> Forecast:
    """Ask every group whether it can give delta, time a few training steps, and reckon from that.

    Networks on the way are taken to cost as much as the mean of the seed and the target. The latencies
    asked for are the first that the run itself asks for.

    Args:
        workload: The run's.
        seed: The network.
        latency: Tells latencies.
        px: Side of the images that proposals train on.
        val_images: In the held-out part.
        workers: Proposals at once.

    Raises:
        DeviceLostError: The device is.
    """
    config, seed_ms = workload.config, latency(seed)
    groups = width_groups(seed, include_stem_and_head=config.ends)
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
    scored = 1 + val_images / (3 * images)  # forward alone: a third
    way = (1 + config.target_ms / seed_ms) / 2
    number = steps or 0
    tuning = number * way * scored * workload.proposals(seed, able)
    last = config.target_ms / seed_ms * workload.last(seed, number)
    asking = _asking(seed, least, latency, spent_s)
    return Forecast(
        groups=len(groups),
        delta_ms=delta_ms,
        savings_ms=savings_ms,
        steps=steps,
        seconds_a_work=seconds_a_work,
        tuning_s=tuning * seconds_a_work,
        last_s=last * seconds_a_work,
        first_s=QUESTIONS * able * asking.new_s,
        step_s=(len(least) + QUESTIONS * able) * asking.later_s + asking.confirm_s,
        ends_s=workload.challenges(number)
        * (MULTIPLIERS_ASKED * asking.other_s + asking.confirm_s),
    )


@dataclass(frozen=True)
class Asking:
    """Seconds of asking a device for latencies.

    Attributes:
        new_s: Of a network with one group narrower than the seed's.
        later_s: Of one in a later step.
        other_s: Of one with all groups narrower.
        confirm_s: Of confirming a network.
    """

    new_s: float
    later_s: float
    other_s: float
    confirm_s: float


def _asking(
    seed: ArchSpec, least: Sequence[tuple[ArchSpec, Latency]], latency: Remembering, spent_s: float
) -> Asking:
    """From what the first questions took."""
    # A reading from the cache took no time now, but a new network's will.
    ran_s = sum(reading.samples * reading.median_ms for _, reading in least) / 1e3
    asked_s = max(spent_s, ran_s) / max(1, len(least))
    if not isinstance(latency.source, OnDemand):
        confirm_s = 0.0 if latency.device.estimate else CONFIRMATIONS * asked_s
        return Asking(asked_s, asked_s, asked_s, confirm_s)
    known = {piece.key for piece in pieces(seed)}
    new = sum(len({piece.key for piece in pieces(spec)} - known) for spec, _ in least)
    whole = latency.reading(seed)
    in_turns_s = 2 * whole.samples * whole.median_ms / 1e3  # with the seed
    return Asking(
        new_s=asked_s,
        later_s=asked_s * min(1.0, NEIGHBOURS / max(1, len(least))),
        other_s=spent_s / max(1, new) * len(known),
        confirm_s=CONFIRMATIONS * in_turns_s,
    )


def _least(
    seed: ArchSpec, group: Group, config: AdaptConfig, latency: Remembering
) -> tuple[ArchSpec, Latency] | None:
    """The network with the group at its narrowest; None where it has no narrower width, or none is told."""
    narrower = Widths(config.divisor, config.floor).below(group.width)
    if not narrower:
        return None
    try:
        spec = narrowed(seed, group, narrower[0])
        return spec, latency.reading(spec)
    except DeviceLostError:
        raise
    except MeasurementError:
        return None
