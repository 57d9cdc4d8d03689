"""Networks to set beside the adapted one: as fast on the same device, and come about in another way."""

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
from nas.engine.memoized_source import Remembering
from nas.engine.run_folder import RunFolder
from search_spaces import ArchSpec, InputError
from search_spaces.spec import from_dict, to_dict

if TYPE_CHECKING:
    import torch

    from nas.checkpoints.checkpoint import Checkpoint

TRIES = 6
"""How often a baseline is sought where what is found turns out too slow, or faster than it need be."""

CLOSE = 0.98
"""A baseline that takes at least this part of its limit is not sought again."""


@dataclass(frozen=True)
class BaselineRequest:
    """What a baseline has to be made of, and how fast it has to be.

    Attributes:
        seed: The network that NetAdapt began with, its weights with it.
        latency: Tells a network's latency on the run's device, and asks it once a network.
        limit_ms: The adapted network's: what the baseline's may be at most.
    """

    seed: Checkpoint
    latency: Remembering
    limit_ms: float


@dataclass(frozen=True)
class Found:
    """A network that meets a request.

    Attributes:
        spec: The network.
        about: How it came about, for people: `width multiplier 0.62`.
        weights: What fine-tuning begins with; None leaves the fine-tuning out.
    """

    spec: ArchSpec
    about: str
    weights: Mapping[str, torch.Tensor] | None


FindBaseline = Callable[[BaselineRequest], Found | None]
"""Makes a network that meets a request; None where there is none."""


@dataclass(frozen=True)
class Baseline:
    """A network found, as it is kept.

    Attributes:
        name: What it is called by: `uniform`.
        about: See `Found`.
        spec: The network.
        latency: On the run's device.
        weights: Serialized by `torch.save`; None without, or if they were not asked for.
    """

    name: str
    about: str
    spec: ArchSpec
    latency: Latency
    weights: bytes | None


def require_names(baselines: Mapping[str, FindBaseline]) -> None:
    """Refuse names that could not stand in a log.

    Raises:
        InputError: One is no lower-case word, or what NetAdapt's own trainings are called.
    """
    for name in baselines:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name in OWN_KINDS:
            raise InputError(
                f"baseline {name!r}: give a name of lower-case letters, digits and hyphens, none of "
                f"{', '.join(OWN_KINDS)}"
            )


def best_within_limit(find: FindBaseline, request: BaselineRequest) -> tuple[Found, Latency] | None:
    """A network that meets a request when it is measured by itself, and what it takes then.

    The search for it compares readings, or sums of pieces, which are a little off. So what it finds is
    measured, and it is sent for again with the limit moved by as much. Of those that are not measurably
    above the limit, by the 95% interval, the slowest is taken; None where none is. One within 2% below it
    ends the search.

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
            told = request.latency.reading(found.spec)
            reading = request.latency.confirm(found.spec)
        except DeviceLostError:
            raise
        except MeasurementError:  # a network that the device refuses is as good as none
            break
        if reading is None:
            return found, told
        within = reading.ci95_ms[0] <= request.limit_ms
        if within and (best is None or reading.median_ms > best[1].median_ms):
            best = found, reading
        if CLOSE * request.limit_ms <= reading.median_ms <= request.limit_ms:
            break
        limit_ms = request.limit_ms * told.median_ms / reading.median_ms
    return best


def recorded_baseline(
    folder: RunFolder, name: str, find: FindBaseline, request: BaselineRequest, *, variant: str = ""
) -> Baseline | None:
    """The baseline that the run has found before, or one found now and written down.

    Args:
        folder: The run's.
        name: The baseline's.
        find: Finds it.
        request: What it has to meet.
        variant: Tells challenges of one run apart.

    Raises:
        DeviceLostError: The device is gone.
    """
    place = folder / "rivals"
    place.mkdir(exist_ok=True)
    path = place / (f"{name}-{variant}.json" if variant else f"{name}.json")
    if not path.is_file():
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
    """The baselines that a run has found, by the names of their files; where none was found, none."""
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
    """The baselines of the last network that were sought and not found, by name."""
    return [
        entry["name"]
        for path, entry in _entries(folder)
        if entry["spec"] is None and path.stem == entry["name"]
    ]


def _entries(folder: RunFolder, stem: str = "*") -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((folder / "rivals").glob(f"{stem}.json")):
        yield path, read_json(path)
