"""How much latency each step must save: delta, its decay, and its halving when no group can save it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from netadapt.proposals import Discarded, Proposal
from search_spaces.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """NetAdapt's reduction schedule, as fractions of the seed's latency |L|.

    MobileNetV3 uses a delta of 0.01 |L| without decay (section 4.2): up to fifty steps to halve the
    latency, each with a fine-tuning of every proposal. The default of 0.1 needs a tenth of the steps, and
    three halvings come close to the paper's. The original decays by 0.96 a step (arXiv 1804.03230).

    Attributes:
        seed_ms: |L|, the latency of the network that NetAdapt began with.
        delta: Fraction of it that each step saves at least.
        decay: Factor on delta after every step.
        halvings: How often a step may halve its delta before NetAdapt stops.

    Raises:
        InputError: One of them is out of range.
    """

    seed_ms: float
    delta: float = 0.1
    decay: float = 1.0
    halvings: int = 3

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seed_ms) and self.seed_ms > 0):
            raise InputError(
                f"seed_ms must be above 0, got {self.seed_ms:g}: measure the seed again"
            )
        if not 0 < self.delta < 1:
            raise InputError(
                f"delta must be between 0 and 1, got {self.delta:g}: it is a fraction of the "
                "seed's latency, for instance 0.1"
            )
        if not 0 < self.decay <= 1:
            raise InputError(
                f"decay must be above 0 and at most 1, got {self.decay:g}: 1 keeps delta constant"
            )
        if self.halvings < 0:
            raise InputError(
                f"halvings must be at least 0, got {self.halvings}: give for instance 1"
            )

    def deltas_ms(self, step: int) -> tuple[float, ...]:
        """Return the deltas to try in a step (from 0): delta, then its halves while no group can save it.

        >>> Schedule(80.0, delta=0.1, decay=0.5, halvings=2).deltas_ms(1)
        (4.0, 2.0, 1.0)
        """
        delta_ms = self.seed_ms * self.delta * self.decay**step
        return tuple(delta_ms / 2**halving for halving in range(self.halvings + 1))


@dataclass(frozen=True)
class Step:
    """The proposals of one step, and the delta that they meet.

    Without proposals no group could save even this delta, and NetAdapt stops. `discarded` are the networks
    that could not be measured. `widening` tells a step that widens a group, whose delta is negative.
    """

    delta_ms: float
    proposals: tuple[Proposal, ...]
    discarded: tuple[Discarded, ...] = ()
    widening: bool = False


def first_step(
    propose: Callable[[float], Iterable[Proposal]],
    *,
    current_ms: float,
    deltas_ms: Iterable[float],
    target_ms: float = 0.0,
) -> Step:
    """Return the step with the largest delta that any group can save.

    >>> first_step(lambda limit_ms: [], current_ms=60.0, deltas_ms=(8.0, 4.0))
    Step(delta_ms=4.0, proposals=(), discarded=(), widening=False)

    Args:
        propose: Returns proposals within a latency limit in milliseconds.
        current_ms: Latency of the current network, above the target.
        deltas_ms: Descending, at least one: see `Schedule.deltas_ms`.
        target_ms: Target latency. No step has to go below it: the last one would otherwise save up to
            delta too much.
    """
    assert current_ms > target_ms, "nothing is left to save"
    step = Step(math.nan, ())
    for delta_ms in deltas_ms:
        limit_ms = max(current_ms - delta_ms, target_ms)
        step = Step(current_ms - limit_ms, tuple(propose(limit_ms)))
        if step.proposals:
            break
    return step
