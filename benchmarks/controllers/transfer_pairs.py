"""Pairs of tables, of an earlier search and of a later one that begins with what is known of it.

- device: ImageNet top-1 * (LAT/T)^-0.15 of Accel-NASBench on a ZCU102 (an FPGA), then on an A100 (a GPU,
  whose latency is the inverse of its images per second).
- target: top-1 within the median latency of a ZCU102, then within its first decile; above the target, top-1
  times T/LAT: the reward of a search from a parent.
- data: a random function with MnasNet's 42 decisions, then one whose correlation with it is 0.9, 0.5 or 0.

Readings are noisy, as in the noisy tables of `controller_tables.py`.
"""

import os
from functools import cache
from pathlib import Path

from benchmarks.controllers.controller_tables import (
    ANB_ARITIES,
    ANB_EXPONENT,
    MakeTable,
    Table,
    anb_latency_ms,
    anb_surrogate,
    block_network,
)
from controllers import Tokens

LATER = 10_000
"""Difference of the seeds of the two searches."""


def anb_on(device: str) -> MakeTable:
    """Return the table of a device, with the soft reward."""
    folder = Path(os.environ["MOBILE_NAS_BENCH"])

    @cache
    def value(tokens: Tokens) -> float:
        top1, ms, _ = anb_surrogate(folder, device)(tokens)
        target_ms = anb_latency_ms(folder, quantile=0.5, device=device)
        return float(top1 * (ms / target_ms) ** ANB_EXPONENT)

    return lambda _: Table(ANB_ARITIES, value, noise=1.0)


def anb_within(quantile: float) -> MakeTable:
    """Return the table of a target on the ZCU102, with the hard reward."""
    folder = Path(os.environ["MOBILE_NAS_BENCH"])

    @cache
    def value(tokens: Tokens) -> float:
        top1, ms, _ = anb_surrogate(folder)(tokens)
        return top1 * min(1.0, anb_latency_ms(folder, quantile=quantile) / ms)

    return lambda _: Table(ANB_ARITIES, value, noise=1.0)


def blocks(seed: int) -> Table:
    """Return the random function of a seed."""
    table = block_network(seed)
    return Table(table.arities, table.value, noise=0.5)


def blocks_like(likeness: float) -> MakeTable:
    """Return random functions that correlate with `blocks` over the space."""

    def make(seed: int) -> Table:
        same, other = block_network(seed), block_network(seed + LATER)
        rest = (1 - likeness**2) ** 0.5
        return Table(
            same.arities, lambda t: likeness * same.value(t) + rest * other.value(t), noise=0.5
        )

    return make


@cache
def pairs() -> dict[str, tuple[MakeTable, MakeTable]]:
    """Return the tables of the earlier search and of the later one, by name."""
    made: dict[str, tuple[MakeTable, MakeTable]] = {
        f"data, {likeness:g}": (blocks, blocks_like(likeness)) for likeness in (0.9, 0.5, 0.0)
    }
    if "MOBILE_NAS_BENCH" not in os.environ:
        return made
    return {
        "device": (anb_on("ZCU102"), anb_on("A100")),
        "target": (anb_within(0.5), anb_within(0.1)),
        **made,
    }
