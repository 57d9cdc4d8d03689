"""Baselines: networks found by other means, as fast as the adapted one on the same device."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency import DeviceLostError, Latency, MeasurementError
from nas.adapting.kinds import OWN_KINDS
from nas.atomic_files import read_json, write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.memoized_source import MemoizedSource
from search_spaces import ArchSpec, InputError
from search_spaces.spec import from_dict, to_dict

if TYPE_CHECKING:
    import torch

    from nas.checkpoints.checkpoint import Checkpoint

TRIES = 6
"""Attempts to find a baseline whose measured latency is just within the limit."""

CLOSE = 0.98
"""A baseline that takes at least this fraction of its limit is accepted as it is."""


@dataclass(frozen=True)
class BaselineRequest:
    """The checkpoint that a baseline is derived from, and its latency limit.

    Attributes:
        seed: The checkpoint that NetAdapt started from.
        latency: Returns a network's latency on the run's device, measuring each network once.
        limit_ms: The adapted network's latency, which the baseline must not exceed.
    """

    seed: Checkpoint
    latency: MemoizedSource
    limit_ms: float


@dataclass(frozen=True)
class Found:
    """A network within the limit of a request.

    Attributes:
        spec: The network.
        about: Description for people: `width multiplier 0.62`.
        weights: Where fine-tuning starts; None skips fine-tuning.
    """

    spec: ArchSpec
    about: str
    weights: Mapping[str, torch.Tensor] | None


FindBaseline = Callable[[BaselineRequest], Found | None]
"""Return a network within the request's limit, or None if there is none."""


@dataclass(frozen=True)
class Baseline:
    """A baseline as the run keeps it.

    Attributes:
        name: Identifies it in logs: `uniform`.
        about: See `Found`.
        spec: The network.
        latency: On the run's device.
        weights: Serialized by `torch.save`; None if it has none or they were not requested.
    """

    name: str
    about: str
    spec: ArchSpec
    latency: Latency
    weights: bytes | None


def require_names(baselines: Mapping[str, FindBaseline]) -> None:
    """Refuse names that cannot be part of a kind of training.

    Raises:
        InputError: A name is not a lower-case word, or is reserved for NetAdapt's own trainings.
    """
    for name in baselines:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name in OWN_KINDS:
            raise InputError(
                f"baseline {name!r}: give it a name of lower-case letters, digits and hyphens, other than "
                f"{', '.join(OWN_KINDS)}"
            )


def best_within_limit(find: FindBaseline, request: BaselineRequest) -> tuple[Found, Latency] | None:
    """Find the slowest network that is within the limit when measured by itself; return it and its latency.

    `find` compares noisy readings or sums of pieces, so its result is measured on its own. If that reading
    is off, `find` runs again with the limit shifted accordingly. A reading is within the limit unless its
    95% interval lies above it; the attempts end once one is at most 2% below. None if no network fits.

    Raises:
        DeviceLostError: The device is gone.
    """
    limit_ms = request.limit_ms
    best: tuple[Found, Latency] | None = None
    for _ in range(TRIES):
        try:
            found = find(replace(request, limit_ms=limit_ms))
            if found is None:
                break
            first = request.latency.reading(found.spec)
            reading = request.latency.confirm(found.spec)
        except DeviceLostError:
            raise
        except MeasurementError:  # a network that the device refuses does not count as found
            break
        if reading is None:
            return found, first
        within = reading.ci95_ms[0] <= request.limit_ms
        if within and (best is None or reading.median_ms > best[1].median_ms):
            best = found, reading
        if CLOSE * request.limit_ms <= reading.median_ms <= request.limit_ms:
            break
        limit_ms = request.limit_ms * first.median_ms / reading.median_ms
    return best


def recorded_baseline(
    folder: RunFolder, name: str, find: FindBaseline, request: BaselineRequest, *, variant: str = ""
) -> Baseline | None:
    """Return the baseline that the run's folder has for this limit, or find it now and save it there.

    Args:
        folder: The run's folder.
        name: The baseline's name.
        find: Finds the baseline.
        request: What to derive it from, and its limit.
        variant: Distinguishes several baselines of one name.

    Raises:
        DeviceLostError: The device is gone.
    """
    rivals = folder / "rivals"
    rivals.mkdir(exist_ok=True)
    path = rivals / (f"{name}-{variant}.json" if variant else f"{name}.json")
    if not path.is_file() or read_json(path)["limit_ms"] != request.limit_ms:
        found, reading = best_within_limit(find, request) or (None, None)
        if found is not None and found.weights is not None:
            from nas.checkpoints.torch_files import state_bytes

            write_whole(path.with_suffix(".pt"), state_bytes(found.weights))
        entry = {
            "name": name,
            "limit_ms": request.limit_ms,
            "about": found and found.about,
            "latency": reading and reading.to_dict(),
            "spec": found and to_dict(found.spec),
        }
        write_whole(path, json.dumps(entry, indent=1) + "\n")
    return read_baselines(folder, path.stem, with_weights=True).get(path.stem)


def read_baselines(
    folder: RunFolder, stem: str = "*", *, with_weights: bool = False
) -> dict[str, Baseline]:
    """Return the baselines that a run has found, by file name."""
    baselines = {}
    for path, entry in _entries(folder, stem):
        if entry["spec"] is None:
            continue
        weights = path.with_suffix(".pt")
        baselines[path.stem] = Baseline(
            entry["name"],
            entry["about"],
            from_dict(entry["spec"]),
            Latency.from_dict(entry["latency"]),
            weights.read_bytes() if with_weights and weights.is_file() else None,
        )
    return baselines


def missing_baselines(folder: RunFolder) -> list[str]:
    """Return the names of baselines that were searched for and not found."""
    return [
        entry["name"]
        for path, entry in _entries(folder)
        if entry["spec"] is None and path.stem == entry["name"]
    ]


def _entries(folder: RunFolder, stem: str = "*") -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((folder / "rivals").glob(f"{stem}.json")):
        yield path, read_json(path)
