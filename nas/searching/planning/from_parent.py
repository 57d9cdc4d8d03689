"""Forecast the cost of a search from a parent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.engine.memoized_source import CONFIRMATIONS
from nas.searching.config import SearchConfig
from nas.searching.fidelity import full_lengths
from nas.searching.planning.forecast import PARENT, STARTING_S, Cost, Span
from nas.searching.teacher_cost import FORWARD_PASSES
from nas.training.recipe import Recipe
from nas.training.speed import training_speed
from nas.usable_cores import usable_cores
from netadapt import width_groups
from search_spaces import ArchSpec

SOLVED = 7
"""Networks measured to find the widest one within the target at a resolution."""

NETADAPT_DELTA = 0.1
"""Latency that a step of NetAdapt's rival saves at least, relative to the parent's."""

NETADAPT_STEPS = 20
"""Length of the fine-tuning of each of its proposals."""

NETADAPT_OVERHEAD = 1.5
"""Its steps per step of exactly `NETADAPT_DELTA`: readings are noisy, and late steps save less."""

NETADAPT_READINGS = 5
"""Networks measured in a step to find the new width of one group."""

NETADAPT_NEIGHBORS = 3
"""Groups whose proposals have pieces that were not timed in the first step: those near the one narrowed."""

NETADAPT_PIECES = 0.5
"""Time to find the pieces of a reading that are new, relative to measuring a whole network."""

NETADAPT_PROPOSALS = 1 / 4
"""Part of the groups that can save enough in a step, each of which is fine-tuned."""


def cost_from_parent(
    parent: ArchSpec,
    config: SearchConfig,
    spans: Sequence[Span],
    *,
    targets_ms: Sequence[float],
    train_images: int,
    val_images: int,
    ranking_images: int,
    workers: int,
    tunes: bool,
) -> Cost:
    """Time a few training steps of the parent on this machine, and extrapolate.

    Trials train in proportion to their latency, which is near the target; the parent as their teacher adds
    a forward pass at its own size.

    Args:
        parent: The parent, at the largest resolution.
        config: The search.
        spans: Latencies of its space on each device.
        targets_ms: The target on each device.
        train_images: Number of training images.
        val_images: Number of held-out images.
        ranking_images: Number of images that trials are ranked on; more than those held out take a second
            parent.
        workers: Number of trials at once.
        tunes: Whether the parent is fine-tuned first.
    """
    assert config.parent is not None
    finals, threads = config.finals, config.schedule.cpus_per_trial
    speed = training_speed(parent, config.recipe, px=parent.resolution, threads=threads)
    parts = [
        target_ms / span.references[PARENT].median_ms
        for target_ms, span in zip(targets_ms, spans, strict=True)
    ]
    pace = _Pace(1 / speed, min(1.0, *parts), taught=config.parent.teacher_weight > 0)
    images = _images(config.recipe, train_images)
    trial_s = pace.training_s(images) + pace.reading_s(ranking_images)
    final_s = pace.training_s(finals.epochs_factor * images) + pace.reading_s(val_images)
    made = len(config.parent.resolutions or (parent.resolution,))
    named = len(config.parent.rivals)
    # A named rival is tuned as the parent was before it trains as a finalist.
    first_s = replace(pace, taught=False).training_s(_images(config.parent.recipe, train_images))
    rivals_s = (made + named) * final_s + named * first_s + made * trial_s
    narrowing_s = 0.0
    if config.parent.with_netadapt:
        rivals_s += final_s
        narrowing_s = _netadapt_s(
            parent,
            pace,
            batch_size=config.recipe.batch_size,
            val_images=val_images,
            measured_s=spans[0].measured_s,
            workers=workers,
        )
    lengths = full_lengths(config.fidelity, config.trials, batch_size=config.batch_size)
    looks = config.trials if config.fidelity is not None else 0
    ends_s = (finals.count + config.parent.curve) * final_s + finals.repeats * trial_s
    measured = config.trials + SOLVED * made
    aside = ranking_images - val_images
    parents = [train_images, *([train_images - aside] if aside else [])] if tunes else []
    tuned_images = sum(_images(config.parent.recipe, number) for number in parents)
    return Cost(
        trials=config.trials,
        trials_s=(lengths * trial_s + looks * pace.reading_s(ranking_images)) / workers,
        finals_s=max(ends_s / workers, final_s),
        latency_s=measured * sum(span.measured_s for span in spans),
        start_s=0.0 if config.schedule.workers == 0 else STARTING_S,
        rivals_s=max(rivals_s / workers, final_s) + narrowing_s,
        parent_s=_tuning_s(parent, config, tuned_images) if tunes else 0.0,
    )


def _tuning_s(parent: ArchSpec, config: SearchConfig, images: int) -> float:
    """Return how long the parent and that of trials are fine-tuned, in this process and on all cores.

    Args:
        parent: The parent, at the largest resolution.
        config: The search.
        images: Images seen by both, repeats included.
    """
    assert config.parent is not None
    px, cores = parent.resolution, usable_cores()
    return images / training_speed(parent, config.parent.recipe, px=px, threads=cores)


@dataclass(frozen=True)
class _Pace:
    """How fast sub-networks train on one worker.

    Attributes:
        parent_s: Seconds in which the parent trains on an image.
        part: Cost of a sub-network, relative to the parent's.
        taught: Whether the parent is the teacher, which adds a forward pass at its own size.
    """

    parent_s: float
    part: float
    taught: bool

    def training_s(self, images: float) -> float:
        """Return the training time in seconds.

        Args:
            images: Images seen during training, repeats included.
        """
        teacher = 1 / FORWARD_PASSES if self.taught else 0.0
        return images * (self.part + teacher) * self.parent_s

    def reading_s(self, images: int) -> float:
        """Return the evaluation time in seconds."""
        return images * self.part * self.parent_s / FORWARD_PASSES


def _images(recipe: Recipe, train_images: int) -> int:
    """Return the number of images seen in a training, repeats included."""
    return recipe.total_steps(train_images) * recipe.batch_size


def _netadapt_s(
    parent: ArchSpec,
    pace: _Pace,
    *,
    batch_size: int,
    val_images: int,
    measured_s: float,
    workers: int,
) -> float:
    """Return the time to narrow the parent, in seconds.

    Proposals are measured by pieces, one at a time; the network of each step, by itself.
    """
    between = replace(pace, part=(1 + pace.part) / 2)  # from the parent's size to the target's
    tuned_s = between.training_s(NETADAPT_STEPS * batch_size)
    proposal_s = (tuned_s + between.reading_s(val_images)) / workers
    steps = math.ceil(NETADAPT_OVERHEAD * (1 - pace.part) / NETADAPT_DELTA)
    groups = len(width_groups(parent))
    asked = NETADAPT_READINGS * (groups + NETADAPT_NEIGHBORS * (steps - 1)) if steps else 0
    latency_s = (NETADAPT_PIECES * asked + CONFIRMATIONS * steps) * measured_s
    return latency_s + steps * groups * NETADAPT_PROPOSALS * proposal_s
