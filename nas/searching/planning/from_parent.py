"""Forecast the cost of a search from a parent."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from nas.searching.config import SearchConfig
from nas.searching.planning.forecast import PARENT, STARTING_S, Cost, Span
from nas.searching.teacher_cost import FORWARD_PASSES
from nas.training.speed import training_speed
from netadapt import width_groups
from search_spaces import ArchSpec

SOLVED = 7
"""Networks measured to find the widest one within the target at a resolution."""

NETADAPT_DELTA = 0.1
"""Latency that a step of NetAdapt's rival saves at least, relative to the parent's."""

NETADAPT_STEPS = 20
"""Length of the fine-tuning of each of its proposals."""


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
    finals = config.finals
    threads = config.schedule.cpus_per_trial
    speed = training_speed(parent, config.recipe, px=parent.resolution, threads=threads)
    own_s = 1 / speed
    part = min(
        1.0,
        *(
            target_ms / span.references[PARENT].median_ms
            for target_ms, span in zip(targets_ms, spans, strict=True)
        ),
    )
    taught_s = own_s / FORWARD_PASSES if config.parent.teacher_weight else 0.0
    image_s = part * own_s + taught_s
    images = config.recipe.total_steps(train_images) * config.recipe.batch_size
    read_s = part * own_s / FORWARD_PASSES
    trial_s = images * image_s + ranking_images * read_s
    final_s = finals.epochs_factor * images * image_s + val_images * read_s
    rivals = len(config.parent.resolutions or (parent.resolution,))
    tuning = config.parent.recipe
    # A named rival is tuned as the parent was before it trains as a finalist.
    first_s = part * own_s * tuning.total_steps(train_images) * tuning.batch_size
    named = len(config.parent.rivals)
    rivals_s = (rivals + named) * final_s + named * first_s + rivals * trial_s
    if config.parent.with_netadapt:
        # Its networks are between the parent's size and the target's.
        shown = NETADAPT_STEPS * config.recipe.batch_size
        taught = shown * ((1 + part) / 2 * own_s + taught_s)
        proposal_s = taught + val_images * (1 + part) / 2 * own_s / FORWARD_PASSES
        steps = math.ceil((1 - part) / NETADAPT_DELTA)
        rivals_s += final_s + steps * len(width_groups(parent)) * proposal_s
    finalists = finals.count + config.parent.curve
    ends_s = finalists * final_s + finals.repeats * trial_s
    measured = config.trials + SOLVED * rivals
    tuned = 0
    if tunes:
        aside = ranking_images - val_images
        parents = [train_images, train_images - aside] if aside else [train_images]
        tuned = sum(tuning.total_steps(number) * tuning.batch_size for number in parents)
    return Cost(
        trials=config.trials,
        trials_s=config.trials * trial_s / workers,
        finals_s=max(ends_s / workers, final_s),
        latency_s=measured * sum(span.measured_s for span in spans),
        start_s=0.0 if config.schedule.workers == 0 else STARTING_S,
        rivals_s=max(rivals_s / workers, final_s),
        # In this process, on all cores: nearly as fast as several trials at once.
        parent_s=tuned * own_s * threads / (os.cpu_count() or 1),
    )
