"""What a user would deploy without a search: the rivals that a finalist has to beat.

These are the parent at each resolution, at the largest uniform width multiplier that meets the target. They
are measured before the first trial, and recorded: a resumed run compares with the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from latency import Latency, MeasurementError
from nas.atomic_files import read_json, write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.measuring import Reading
from search_spaces import ArchSpec, ElasticSpace, Tokens
from search_spaces.spec import from_dict, to_dict

RIVALS = "rivals.json"

Measure = Callable[[Sequence[ArchSpec]], list[Reading]]
"""Returns the latencies of networks on each device."""


@dataclass(frozen=True)
class Rival:
    """A network to compare a search's finalists with.

    Attributes:
        name: What it is called: `width 0.62 at 96 px`.
        spec: The network.
        latencies: On each device.
        opener: The nearest network of the space, which is among the first trials; None if none is near.
    """

    name: str
    spec: ArchSpec
    latencies: tuple[Latency, ...]
    opener: Tokens | None = None


def recorded_rivals(
    run: RunFolder,
    space: ElasticSpace,
    *,
    measure: Measure,
    targets_ms: Sequence[float],
) -> tuple[Rival, ...]:
    """Return the rivals that a run has recorded, or find and record them now.

    Args:
        run: The run's folder.
        space: The space that is searched.
        measure: Measures networks.
        targets_ms: The target on each device.

    Raises:
        DeviceLostError: A device is lost.
    """
    path = run / RIVALS
    if not path.is_file():
        rivals = _uniform(space, measure, targets_ms)
        write_whole(path, json.dumps([_to_dict(rival) for rival in rivals], indent=1) + "\n")
    return read_rivals(run)


def read_rivals(run: RunFolder) -> tuple[Rival, ...]:
    """Return the rivals that a run has recorded; none if it has no record."""
    path = run / RIVALS
    if not path.is_file():
        return ()
    return tuple(
        Rival(
            entry["name"],
            from_dict(entry["spec"]),
            tuple(map(Latency.from_dict, entry["latencies"])),
            None if entry["opener"] is None else tuple(entry["opener"]),
        )
        for entry in read_json(path)
    )


def _to_dict(rival: Rival) -> dict[str, object]:
    return {
        "name": rival.name,
        "spec": to_dict(rival.spec),
        "latencies": [latency.to_dict() for latency in rival.latencies],
        "opener": rival.opener,
    }


def _uniform(space: ElasticSpace, measure: Measure, targets_ms: Sequence[float]) -> list[Rival]:
    """Find the largest uniform width within the targets at each resolution, the largest first."""
    from netadapt.uniform import widest_uniform  # imports torch

    readings: dict[str, tuple[Latency, ...]] = {}

    def overrun(spec: ArchSpec) -> float:
        """Return the latency relative to the target, on the device where that is highest."""
        if spec.fingerprint not in readings:
            (reading,) = measure([spec])
            if isinstance(reading, MeasurementError):
                raise reading
            readings[spec.fingerprint] = reading
        found = readings[spec.fingerprint]
        return max(one.median_ms / ms for one, ms in zip(found, targets_ms, strict=True))

    rivals = []
    for px in sorted(space.resolutions, reverse=True):
        whole = replace(space.parent, resolution=px)
        found = widest_uniform(whole, latency=overrun, limit_ms=1.0)
        if found is None:
            continue
        name = f"width {found.multiplier:.2f} at {px} px" if found.multiplier < 1 else f"{px} px"
        latencies = readings[found.spec.fingerprint]
        rivals.append(Rival(name, found.spec, latencies, opener(space, found.multiplier, px)))
    return rivals


def opener(space: ElasticSpace, multiplier: float, px: int) -> Tokens | None:
    """Return the network of a space at the largest of its uniform widths up to a multiplier."""
    known = [one for one in space.widths if one in space.expansions and one <= multiplier]
    return space.uniform(max(known), px) if known else None
