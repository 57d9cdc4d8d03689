"""Replace networks that are slower than the first of a comparison by versions that are as fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from latency import LatencySource, MeasurementError
from nas.cli.search.parent import beside_parent
from nas.comparing.contestant import Contestant
from nas.comparing.same_latency import versions_within
from nas.display.progress import waiting
from nas.engine.measuring import measure
from nas.searching.from_parent.rivals import Readings
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from netadapt.channel_selection import ChannelOrder


def at_latency_of_first(
    every: Sequence[Contestant],
    sources: Sequence[LatencySource],
    read: Callable[[int], Dataset],
    console: Console,
) -> tuple[list[Contestant], tuple[LatencySource, ...]]:
    """Replace networks that are slower than the first, and return sources that measure next to it.

    Raises:
        InputError: A device cannot measure the first network, or is lost.
    """
    first, *others = every
    paced = tuple(beside_parent(source, first.spec) for source in sources)
    ask = partial(measure, paced)
    with waiting(console, f"looking for networks as fast as {first.name}"):
        try:
            targets_ms = [source.latency(first.spec).median_ms for source in paced]
            overrun = Readings(ask, targets_ms).overrun
            found = [versions_within(one, overrun, order=partial(_order, read)) for one in others]
        except MeasurementError as error:
            raise InputError(f"{first.name} cannot be measured: {error}") from error
    for one, versions in zip(others, found, strict=True):
        if not versions:
            console.print(
                f"left out: {one.name} is slower than {first.name} at every width and size",
                soft_wrap=True,
            )
    kept = [version for versions in found for version in versions]
    if not kept:
        raise InputError(f"no other network is as fast as {first.name}: nothing to compare")
    return [first, *kept], paced


def _order(read: Callable[[int], Dataset], start: Checkpoint) -> ChannelOrder:
    """Order the channels of a network: by Taylor importance if it knows the classes, else by their norm."""
    from nas.checkpoints.importance import channel_order
    from nas.checkpoints.known_classes import fits_classes
    from nas.checkpoints.scoring import relabelled
    from netadapt import channel_selection

    data = read(start.spec.resolution)
    if not fits_classes(start, data):
        return channel_selection.channel_order(start.spec, start.weights)
    seen = relabelled(data, start.usage)
    return channel_order(start, replace(seen, mean=start.usage.mean, std=start.usage.std))
