"""Metadata that a search writes into `run.json`: its space, devices, data and budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from latency import Device
from nas.engine.run_metadata import data_metadata
from nas.searching.plan import Budget
from nas.searching.sizes import deployed_px
from search_spaces import SearchSpace

if TYPE_CHECKING:
    from nas.data.images import Dataset


def search_metadata(
    space: SearchSpace,
    devices: Sequence[Device],
    data: Dataset,
    *,
    targets_ms: Sequence[float],
    budget: Budget,
) -> dict[str, Any]:
    """Describe a search as plain data; mean and deviation identify the training images.

    Args:
        space: The search space.
        devices: The first one's latency is `latency` in the log.
        data: The images.
        targets_ms: The target on each device.
        budget: The amount of work.
    """
    (first, first_ms), *others = zip(devices, targets_ms, strict=True)
    return {
        "space": space.name,
        "labels": [[name, list(choices)] for name, choices in space.labels],
        "device": asdict(first),
        "target_ms": first_ms,
        "other_devices": [asdict(device) | {"target_ms": ms} for device, ms in others],
        "budget": asdict(budget),
        "resolution": deployed_px(space),
        "data": data_metadata(data),
    }
