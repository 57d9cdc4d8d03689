"""From timed runs to a figure with an interval: one implementation behind every measuring source.

Runs are taken in short blocks. Whatever disturbs a run (an interrupt, another program) disturbs its
neighbours too, so runs are not independent but blocks nearly are: the figure is the median of block
medians, and the interval is a bootstrap over blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latency.measurer import Device, Latency

Blocks = Sequence[Sequence[float]]
"""Run times in milliseconds, one sequence a block."""


@dataclass(frozen=True)
class Timing:
    """How long to measure.

    Attributes:
        warmup_s: Time spent running before anything counts; caches, allocators and clocks settle.
        block_s: Least duration of a block.
        block_runs: Least number of runs in a block.
        min_blocks: Blocks before the measurement may stop.
        max_s: Time after which it stops in any case.
        half_width: Stops when the 95% interval is this narrow on each side, relative to the median.
        max_spread: Interquartile range of block medians over their median, above which the reading
            is marked unstable.
        max_slowdown: Median over the fastest run, above which it is as well: another program that
            runs all the time slows every block alike.
    """

    warmup_s: float = 0.15
    block_s: float = 0.03
    block_runs: int = 3
    min_blocks: int = 8
    max_s: float = 1.0
    half_width: float = 0.01
    max_spread: float = 0.10
    max_slowdown: float = 1.5


def sample(
    run: Callable[[], object],
    timing: Timing,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Run until the median is known well enough; returns every run's time in blocks (ms).

    Args:
        run: One inference.
        timing: When to begin and to stop.
        clock: Seconds; an argument so that tests need no real time.
    """
    warm_until = clock() + timing.warmup_s
    while True:
        begin = clock()
        run()
        if clock() >= warm_until:
            break
    runs = max(timing.block_runs, round(timing.block_s / max(clock() - begin, 1e-6)))
    blocks: list[list[float]] = []
    deadline = clock() + timing.max_s
    while len(blocks) < timing.min_blocks or not _settled(blocks, timing):
        blocks.append([_time_ms(run, clock) for _ in range(runs)])
        if clock() >= deadline:
            break
    return blocks


def _time_ms(run: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    run()
    return (clock() - begin) * 1e3


def _settled(blocks: Blocks, timing: Timing) -> bool:
    if len(blocks) % 4:  # the bootstrap costs about a millisecond: not after every block
        return False
    medians = _medians(blocks)
    low, high = bootstrap_ci95(medians)
    return (high - low) / 2 <= timing.half_width * float(np.median(medians))


def _medians(blocks: Blocks) -> npt.NDArray[np.float64]:
    return np.array([np.median(block) for block in blocks])


def bootstrap_ci95(
    values: npt.NDArray[np.float64], *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the median of `values`, shape (blocks,).

    >>> bootstrap_ci95(np.array([2.0, 2.0, 2.0]))
    (2.0, 2.0)
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice(values, size=(resamples, len(values)))  # (resamples, blocks)
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def summarize(blocks: Blocks, device: Device, timing: Timing = Timing()) -> Latency:
    """The reading that timed blocks amount to.

    >>> reading = summarize([[2.0, 2.1, 9.0]] * 8, Device("lab", "f0"))
    >>> reading.median_ms, reading.min_ms, reading.stable
    (2.1, 2.0, True)
    """
    medians = _medians(blocks)
    runs = np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    median = float(np.median(medians))
    low, high = bootstrap_ci95(medians)
    q1, q3 = np.percentile(medians, [25, 75])
    steady = (q3 - q1) / median <= timing.max_spread
    undisturbed = median <= timing.max_slowdown * runs.min()
    return Latency(
        median_ms=median,
        ci95_ms=(min(low, median), max(high, median)),
        min_ms=float(runs.min()),
        p90_ms=float(np.percentile(runs, 90)),
        samples=len(runs),
        device=device.name,
        fingerprint=device.fingerprint,
        estimate=device.estimate,
        stable=bool(steady and undisturbed),
    )
