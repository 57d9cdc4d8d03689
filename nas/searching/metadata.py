"""What a search writes into `run.json`: its space, devices, data and budget."""

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
    """What is searched, as plain data; mean and deviation stand for the training images.

    Args:
        space: Of the candidates.
        devices: The first is the one whose latency stands under `latency` in the log.
        data: Images.
        targets_ms: Of each device.
        budget: How much is done.
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
