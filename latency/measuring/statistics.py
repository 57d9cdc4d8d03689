"""From timed runs to a figure with an interval: one implementation behind every measuring source.

Runs are taken in short blocks. Whatever disturbs a run (an interrupt, another program) disturbs its
neighbours too, so runs are not independent but blocks nearly are: the figure is the median of block
medians, and the interval is a bootstrap over blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latency.measuring.source import Device, Latency

Blocks = Sequence[Sequence[float]]
"""Run times in milliseconds, one sequence a block."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Timing:
    """How long to measure, and what makes a reading unstable.

    Attributes:
        warmup_s: Time spent running before anything counts; caches, allocators and clocks settle.
        block_s: Least duration of a block.
        block_runs: Least number of runs in a block.
        most_runs: Most runs asked for at once while warming up.
        anchor_share: Length of an anchor's block, as a part of the others'.
        min_blocks: Blocks before the measurement may stop because it is narrow enough.
        max_s: Time a network after which it stops in any case, once it has `least_blocks`.
        least_blocks: Blocks of the slowest network too: an interval from fewer says nothing.
        half_width: Stops when the 95% interval is this narrow on each side, relative to the median.
        max_spread: Interquartile range of block medians over their median, above which the reading
            is unstable.
        max_slowdown: Median over the fastest run, above which it is as well: another program that
            runs all the time slows every block alike.
        max_drift: Change of the block median from the first third to the last, as a part of the
            median, above which it is, where later blocks are consistently slower or faster.
        max_contention: Anchor over its own record, above which it is.
        retries: Measurements after an unstable one; the best is kept.
        pause_s: Wait before the first of them, twice as long before the next.
    """

    warmup_s: float = 0.15
    block_s: float = 0.03
    block_runs: int = 3
    most_runs: int = 64
    anchor_share: float = 1 / 3
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
    """Median of each block, (blocks,)."""
    return np.array([np.median(block) for block in blocks])


def bootstrap_ci95(values: Floats, *, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the median of `values`, shape (blocks,).

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
    """The reading that timed blocks amount to.

    >>> reading = summarize([[2.0, 2.1, 9.0]] * 8, Device("lab", "f0"))
    >>> reading.median_ms, reading.min_ms, reading.stable
    (2.1, 2.0, True)

    Args:
        blocks: Run times.
        device: Where they were taken.
        timing: What makes them unstable.
        problems: What else was seen to disturb them.
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
    """What in the times themselves says that they cannot be trusted, in words.

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
    """Change from the first third of the blocks to the last over the median; 0 if it may be chance.

    Chance: the rank correlation of time and block median (Spearman) is within its 99% interval under no
    drift.

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
    """Latency of one network over another's, measured together.

    Attributes:
        value: Median over rounds.
        ci95: Bootstrap interval over rounds, 95%.
    """

    value: float
    ci95: tuple[float, float]

    @property
    def differs(self) -> bool:
        """Whether one of them is really slower: 1 is outside of the interval."""
        low, high = self.ci95
        return not low <= 1.0 <= high


def ratio(blocks: Blocks, base: Blocks) -> Ratio:
    """The ratio of two networks whose blocks were taken in the same rounds.

    Both blocks of a round saw the same disturbance, nearly, so it leaves their ratio.

    >>> ratio([[3.0]] * 4 + [[6.0]] * 4, [[2.0]] * 4 + [[4.0]] * 4).value
    1.5
    """
    ratios = block_medians(blocks) / block_medians(base)  # (rounds,)
    value = float(np.median(ratios))
    low, high = bootstrap_ci95(ratios)
    return Ratio(value, (min(low, value), max(high, value)))
