"""Latency with a confidence interval from timed runs.

Runs are timed in short blocks. A disturbance (an interrupt, another program) affects neighbouring runs, so
runs are not independent, but blocks nearly are: the latency is the median of block medians, and its
interval a bootstrap over blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latency.measuring.source import Device, Latency

Blocks = Sequence[Sequence[float]]
"""Run times in milliseconds, one sequence per block."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Timing:
    """How long to measure, and what makes a reading unstable.

    Attributes:
        warmup_s: Warm-up: caches, allocators and clocks settle.
        block_s: Minimum duration of a block.
        block_runs: Minimum number of runs in a block.
        most_runs: Maximum number of runs in one call while warming up.
        anchor_share: Length of the anchor's block as a fraction of the others'.
        probe_share: Same for a probe's block.
        min_blocks: Blocks before the measurement may stop for precision.
        max_s: Time per network after which it stops in any case, once it has `least_blocks`.
        least_blocks: Minimum number of blocks: an interval from fewer is meaningless.
        half_width: Half width of the 95% interval, relative to the median, at which it stops.
        max_spread: Interquartile range of block medians over their median, above which the reading
            is unstable.
        max_slowdown: Same for the median over the fastest run: a program that runs all the time slows every
            block alike.
        max_drift: Same for the change of the block median from the first third to the last, relative to the
            median, where later blocks are consistently slower or faster.
        max_contention: Same for the anchor over its own record.
        retries: Repetitions of an unstable measurement; the best is returned.
        pause_s: Wait before the first repetition; it doubles before each further one.
    """

    warmup_s: float = 0.15
    block_s: float = 0.03
    block_runs: int = 3
    most_runs: int = 64
    anchor_share: float = 1 / 3
    probe_share: float = 1 / 8
    min_blocks: int = 8
    max_s: float = 1.0
    least_blocks: int = 5
    half_width: float = 0.01
    max_spread: float = 0.10
    max_slowdown: float = 1.5
    max_drift: float = 0.05
    max_contention: float = 1.15
    retries: int = 1
    pause_s: float = 0.5


def block_medians(blocks: Blocks) -> Floats:
    """Return the median of each block, (blocks,)."""
    return np.array([np.median(block) for block in blocks])


def bootstrap_ci95(values: Floats, *, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the median of `values`, shape (blocks,).

    >>> bootstrap_ci95(np.array([2.0, 2.0, 2.0]))
    (2.0, 2.0)
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice(values, size=(resamples, len(values)))  # (resamples, blocks)
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def summarize(
    blocks: Blocks, device: Device, timing: Timing = Timing(), *, problems: Sequence[str] = ()
) -> Latency:
    """Summarize timed blocks.

    >>> reading = summarize([[2.0, 2.1, 9.0]] * 8, Device("lab", "f0"))
    >>> reading.median_ms, reading.min_ms, reading.stable
    (2.1, 2.0, True)

    Args:
        blocks: Run times.
        device: The device.
        timing: Limits of a stable measurement.
        problems: Disturbances detected otherwise.
    """
    medians = block_medians(blocks)
    runs = np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    median = float(np.median(medians))
    low, high = bootstrap_ci95(medians)
    found = (*disturbances(blocks, timing), *problems)
    return Latency(
        median_ms=median,
        ci95_ms=(min(low, median), max(high, median)),
        min_ms=float(runs.min()),
        p90_ms=float(np.percentile(runs, 90)),
        samples=len(runs),
        device=device.name,
        fingerprint=device.fingerprint,
        estimate=device.estimate,
        stable=not found,
        problems=found,
    )


def disturbances(blocks: Blocks, timing: Timing) -> tuple[str, ...]:
    """Return, in words, what makes the times themselves unreliable.

    >>> disturbances([[1.0, 1.0]] * 5 + [[2.0, 2.0]] * 5, Timing())[0]
    'block medians spread by 67%'
    """
    medians = block_medians(blocks)
    median, fastest = float(np.median(medians)), min(min(block) for block in blocks)
    q1, q3 = np.percentile(medians, [25, 75])
    found = []
    if (spread := (q3 - q1) / median) > timing.max_spread:
        found.append(f"block medians spread by {spread:.0%}")
    if median > timing.max_slowdown * fastest:
        found.append(f"the median is {median / fastest:.1f} times the fastest run")
    if abs(change := drift(medians)) > timing.max_drift:
        found.append(f"drifted by {change:+.0%} while measured")
    return tuple(found)


def drift(medians: Floats) -> float:
    """Return the change from the first third of the blocks to the last, relative to the median.

    It is 0 if it may be chance: if Spearman's rank correlation of time and block median is within its 99%
    interval under no drift.

    >>> round(drift(np.linspace(1.0, 1.3, 12)), 2)
    0.19
    >>> drift(np.array([1.0, 1.3] * 6))
    0.0
    """
    count = len(medians)
    ranks = np.argsort(np.argsort(medians))
    if count < 6 or np.ptp(medians) == 0:
        return 0.0
    correlation = float(np.corrcoef(np.arange(count), ranks)[0, 1])
    if abs(correlation) < 2.576 / (count - 1) ** 0.5:
        return 0.0
    third = max(1, count // 3)
    change = np.median(medians[-third:]) - np.median(medians[:third])
    return float(change / np.median(medians))


@dataclass(frozen=True)
class Ratio:
    """Latency ratio of two networks measured in the same rounds.

    Attributes:
        value: Median over rounds.
        ci95: 95% bootstrap interval over rounds.
    """

    value: float
    ci95: tuple[float, float]

    @property
    def differs(self) -> bool:
        """Whether the latencies differ significantly: 1 is outside the interval."""
        low, high = self.ci95
        return not low <= 1.0 <= high


def ratio(blocks: Blocks, base: Blocks) -> Ratio:
    """Return the latency ratio of two networks measured in the same rounds.

    A disturbance affects both blocks of a round nearly alike, so it cancels in their ratio.

    >>> ratio([[3.0]] * 4 + [[6.0]] * 4, [[2.0]] * 4 + [[4.0]] * 4).value
    1.5
    """
    ratios = block_medians(blocks) / block_medians(base)  # (rounds,)
    value = float(np.median(ratios))
    low, high = bootstrap_ci95(ratios)
    return Ratio(value, (min(low, value), max(high, value)))
