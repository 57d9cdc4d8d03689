"""Make networks that are slower than a limit as fast: narrower, or on smaller images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.comparing.contestant import Contestant
from netadapt.uniform import widest_uniform
from netadapt.widest import widest_satisfying
from search_spaces import ArchSpec
from search_spaces.spaces.elastic import total_stride

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from netadapt.channel_selection import ChannelOrder

LEAST_PX = 32

Overrun = Callable[[ArchSpec], float]
"""Returns a network's latency relative to the limit, on the device where that is highest; infinite where a
device refuses the network."""

Order = Callable[["Checkpoint"], "ChannelOrder"]
"""Orders the channels of a checkpoint, the most important one first."""


def versions_within(one: Contestant, overrun: Overrun, *, order: Order) -> list[Contestant]:
    """Return a network's versions within a limit: itself, or two at most, narrower and on smaller images.

    Both are the most accurate of their kind that one expects: the widest, and the largest.

    Args:
        one: The network.
        overrun: See `Overrun`.
        order: Chooses the channels whose weights a narrower version inherits.

    Raises:
        DeviceLostError: The device is lost.
    """
    if overrun(one.spec) <= 1:
        return [one]
    found = (_narrower(one, overrun, order), _smaller(one, overrun))
    return [version for version in found if version is not None]


def _narrower(one: Contestant, overrun: Overrun, order: Order) -> Contestant | None:
    """Return the network at the largest width multiplier within the limit; None if there is none."""
    found = widest_uniform(one.spec, latency=overrun, limit_ms=1.0)
    if found is None:
        return None
    start = one.start
    if start is not None:
        from netadapt.weights import inherit  # imports torch

        weights = inherit(start.spec, start.weights, found.spec, selection=order(start))
        start = replace(start, spec=found.spec, weights=weights)
    name = f"{one.name}, width {found.multiplier:.2f}"
    return replace(one, name=name, spec=found.spec, start=start, inherited=start is not None)


def _smaller(one: Contestant, overrun: Overrun) -> Contestant | None:
    """Return the network at the largest resolution within the limit; None if there is none."""
    stride = total_stride(one.spec)
    sides = range(max(stride, LEAST_PX), one.spec.resolution, stride)
    px = widest_satisfying(sides, lambda side: overrun(replace(one.spec, resolution=side)) <= 1)
    if px is None:
        return None
    spec = replace(one.spec, resolution=px)
    start = None if one.start is None else replace(one.start, spec=spec)
    name = f"{one.name}, {px} px"
    return replace(one, name=name, spec=spec, start=start, inherited=start is not None)
