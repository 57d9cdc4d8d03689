"""Interleaved timing of several networks: short blocks of runs, reshuffled in each round.

Whatever slows the device meanwhile slows all of them alike, so their ratios stay unbiased; measured one
after another they would not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import numpy as np

from latency.measuring.runtime import Loaded
from latency.measuring.statistics import Blocks, Timing, block_medians, bootstrap_ci95


def interleave(
    networks: Sequence[Loaded],
    timing: Timing,
    *,
    watched: int | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Blocks]:
    """Run the networks until the medians are precise enough or the time is up.

    Args:
        networks: The networks.
        timing: Warm-up, block length and stopping rule.
        watched: Number of leading networks that the stopping rule looks at; all by default. The anchor and
            the probes, which follow, get shorter blocks.
        seed: Seed of the order.
        clock: Returns seconds; an argument so that tests need no real time.

    Returns:
        The blocks of each network, run times in milliseconds; block k is from round k.
    """
    watched = len(networks) if watched is None else watched
    shares = [1.0] * watched + [timing.anchor_share] + [timing.probe_share] * len(networks)
    runs = [
        _runs_a_block(network, timing, fraction=share, clock=clock)
        for network, share in zip(networks, shares, strict=False)
    ]
    blocks: list[list[list[float]]] = [[] for _ in networks]
    shuffled = random.Random(seed)
    deadline = clock() + timing.max_s * watched
    while not _known(blocks[:watched], timing):
        for index in shuffled.sample(range(len(networks)), len(networks)):
            # The first run finds the caches filled by another network and does not count.
            blocks[index].append(networks[index].run(runs[index] + 1)[1:])
        if clock() >= deadline and len(blocks[0]) >= timing.least_blocks:
            break
    return [list(network) for network in blocks]


def _runs_a_block(
    network: Loaded, timing: Timing, *, fraction: float, clock: Callable[[], float]
) -> int:
    """Warm a network up; return how many runs fill a block."""
    until = clock() + timing.warmup_s
    times = network.run(1)
    while clock() < until:
        times = network.run(min(2 * len(times), timing.most_runs))
    return max(
        timing.block_runs,
        round(fraction * timing.block_s * 1e3 / max(float(np.median(times)), 1e-6)),
    )


def _known(networks: Sequence[Blocks], timing: Timing) -> bool:
    rounds = len(networks[0])
    if rounds < timing.min_blocks or rounds % 4:  # a bootstrap takes about a millisecond
        return False
    return all(_half_width(blocks) <= timing.half_width for blocks in networks)


def _half_width(blocks: Blocks) -> float:
    """Return half the width of the 95% interval, relative to the median."""
    medians = block_medians(blocks)
    low, high = bootstrap_ci95(medians)
    return (high - low) / 2 / float(np.median(medians))
