"""`run.json`: what a run searches, where and on what; a report needs nothing else but the logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from latency import Device
from nas.files import read_json, write_whole
from nas.loop import Budget
from nas.runs import RunFolder
from nas.sizes import deployed_px
from search_spaces import InputError, SearchSpace

if TYPE_CHECKING:
    from nas.training.images import Dataset


def facts_of(
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
        "data": facts_of_data(data),
    }


def facts_of_data(data: Dataset) -> dict[str, Any]:
    """What is trained and tested on, as plain data."""
    return {
        "name": data.name,
        "classes": len(data.classes),
        "train": len(data.train),
        "val": len(data.val),
        "test": len(data.test),
        "px": data.resolution_px,
        "class_names": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
    }


def record_facts(folder: RunFolder, facts: dict[str, Any]) -> None:
    """Write `run.json`: what is searched, where, on what. A run that is gone on with must have the same.

    Raises:
        InputError: The folder's run has others; the first that differs is named.
    """
    path = folder / "run.json"
    facts = json.loads(json.dumps(facts))  # as it will be read
    if path.is_file() and folder.begun:
        require_same(folder, read_json(path), facts)
    write_whole(path, json.dumps(facts, indent=1) + "\n")


def require_same(folder: RunFolder, before: dict[str, Any], facts: dict[str, Any]) -> None:
    """Refuse to go on with a run of other facts.

    Raises:
        InputError: Some differ; the first is named.
    """
    for name, (old, new) in _differences(before, facts).items():
        raise InputError(
            f"{folder.path}: {name} was {old!r} when this run began and is {new!r} now: go on with "
            "what it began with, or choose another folder"
        )


def _differences(old: Any, new: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two records differ, by dotted name. A fact that one of them lacks says nothing.

    >>> _differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a.b': (1, 3)}
    """
    if _is_records(old) and _is_records(new) and len(old) == len(new):
        old, new = ({str(place): record for place, record in enumerate(it)} for it in (old, new))
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new else {name: (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in old.keys() & new.keys():
        found |= _differences(old[key], new[key], f"{name}.{key}" if name else key)
    return dict(sorted(found.items()))


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
