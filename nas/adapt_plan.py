"""What a NetAdapt run is about to do: how many steps, how much training, how long."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from latency import DeviceLostError, Latency, MeasurementError
from nas.adapt_config import AdaptConfig
from nas.adapt_job import in_steps, work
from nas.last_trainings import spread
from nas.plan import training_speed
from nas.remembering import Remembering
from nas.training.recipe import Recipe
from netadapt import Group, Schedule, Widths, narrowed, width_groups
from search_spaces import ArchSpec, count

QUESTIONS = 6
"""Networks that are measured to find the width of one proposal, about: see `netadapt.widest`."""

MULTIPLIERS_ASKED = 11
"""Networks that are measured to find a width multiplier, about."""

MOST_STEPS = 10_000
"""Where so many steps do not reach a target, more do not either: delta decays too fast."""


@dataclass(frozen=True)
class Workload:
    """What a run trains, in multiply-adds of forward passes: see `nas.adapt_job.work`.

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

    def questions_at_end(self, steps: int) -> int:
        """Networks to measure for the comparison, about, after so many steps."""
        challenges = 0 if self.config.compare == "none" else 1 + len(spread(steps))
        return MULTIPLIERS_ASKED * challenges

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
        seconds_a_question: Of measuring a network.
        tuning_s: Of all proposals.
        last_s: Of the last trainings.
        latency_s: Of measuring.
    """

    groups: int
    delta_ms: float
    savings_ms: Sequence[float]
    steps: int | None
    seconds_a_work: float
    seconds_a_question: float
    tuning_s: float
    last_s: float
    latency_s: float

    def able_to_give(self, ms: float) -> int:
        """Groups that can save so much in the first step."""
        return sum(most_ms >= ms for most_ms in self.savings_ms)

    @property
    def able(self) -> int:
        """Groups that can give delta: each makes a proposal. 0 if none can give even the smallest half."""
        return self.able_to_give(self.delta_ms)

    @property
    def questions_a_step(self) -> int:
        """Networks to measure for a step, about."""
        return self.groups + QUESTIONS * self.able

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
    groups = width_groups(seed, ends=config.ends)
    begin = time.perf_counter()
    least = [found for group in groups if (found := _least(seed, group, config, latency))]
    spent_s = time.perf_counter() - begin
    # A reading from the cache took no time now, but a new network's will.
    ran_s = sum(reading.samples * reading.median_ms for reading in least) / 1e3
    asked_s = max(spent_s, ran_s) / max(1, len(least))
    savings_ms = [seed_ms - reading.median_ms for reading in least]
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
    questions = number * (len(groups) + QUESTIONS * able)
    return Forecast(
        groups=len(groups),
        delta_ms=delta_ms,
        savings_ms=savings_ms,
        steps=steps,
        seconds_a_work=seconds_a_work,
        seconds_a_question=asked_s,
        tuning_s=tuning * seconds_a_work,
        last_s=last * seconds_a_work,
        latency_s=(questions + workload.questions_at_end(number)) * asked_s,
    )


def _least(
    seed: ArchSpec, group: Group, config: AdaptConfig, latency: Remembering
) -> Latency | None:
    """Latency with the group at its narrowest; None where it has no narrower width, or none is told."""
    narrower = Widths(config.divisor, config.floor).below(group.width)
    if not narrower:
        return None
    try:
        return latency.reading(narrowed(seed, group, narrower[0]))
    except DeviceLostError:
        raise
    except MeasurementError:
        return None
