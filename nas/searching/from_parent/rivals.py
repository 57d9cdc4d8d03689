"""What a user would deploy without a search: the rivals that a finalist has to beat.

These are the parent at each resolution, at the largest uniform width multiplier that meets the target, and
the networks that the user names, each at the largest resolution at which it does. They are measured before
the first trial, and recorded: a resumed run compares with the same ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from latency import DeviceLostError, Latency, MeasurementError
from nas.atomic_files import read_json, write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.measuring import Reading
from search_spaces import ArchSpec, ElasticSpace, InputError, Tokens
from search_spaces.spaces.elastic import total_stride
from search_spaces.spec import from_dict, to_dict

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

RIVALS = "rivals.json"

Triple = tuple[float, float, float]

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
        normalization: Mean and deviation of the input's channels, of pixels in 0..1, of one that the user
            named; None for those that are made from the parent, which have the parent's.
        weights: Digest of the weights of one that inherits nothing from the parent.
    """

    name: str
    spec: ArchSpec
    latencies: tuple[Latency, ...]
    opener: Tokens | None = None
    normalization: tuple[Triple, Triple] | None = None
    weights: str | None = None


class Standing(NamedTuple):
    """What is measured before the first trial.

    Attributes:
        parent: The parent's latency on each device, at the largest resolution.
        rivals: The networks to compare finalists with.
    """

    parent: tuple[Latency, ...] = ()
    rivals: tuple[Rival, ...] = ()


def recorded_rivals(
    run: RunFolder,
    space: ElasticSpace,
    *,
    measure: Measure,
    targets_ms: Sequence[float],
    named: Mapping[str, Checkpoint] | None = None,
) -> Standing:
    """Return the rivals and the parent's latency as a run has recorded them, or measure them now.

    Args:
        run: The run's folder.
        space: The space that is searched.
        measure: Measures networks.
        targets_ms: The target on each device.
        named: Further networks to compare with, by name.

    Raises:
        DeviceLostError: A device is lost.
        InputError: The device refuses the parent, or a named one is not within the target at any
            resolution of the space.
    """
    path = run / RIVALS
    if not path.is_file():
        readings = Readings(measure, targets_ms)
        rivals = [
            *(_named(name, one, space, readings) for name, one in (named or {}).items()),
            *_uniform(space, readings),
        ]
        try:
            parent = readings.of(space.parent)
        except DeviceLostError:
            raise
        except MeasurementError as error:
            raise InputError(
                f"the parent cannot be measured at {space.parent.resolution} px: {error}: give smaller "
                "--resolutions, or another device"
            ) from error
        entry = {
            "parent": [latency.to_dict() for latency in parent],
            "rivals": [_to_dict(rival) for rival in rivals],
        }
        write_whole(path, json.dumps(entry, indent=1) + "\n")
    return read_standing(run)


def add_rival(run: RunFolder, rival: Rival) -> None:
    """Record one more rival."""
    record = read_json(run / RIVALS)
    record["rivals"].append(_to_dict(rival))
    write_whole(run / RIVALS, json.dumps(record, indent=1) + "\n")


def read_standing(run: RunFolder) -> Standing:
    """Return what a run has recorded; nothing if it has no record."""
    path = run / RIVALS
    if not path.is_file():
        return Standing()
    record = read_json(path)
    rivals = tuple(
        Rival(
            entry["name"],
            from_dict(entry["spec"]),
            tuple(map(Latency.from_dict, entry["latencies"])),
            None if entry["opener"] is None else tuple(entry["opener"]),
            _normalization(entry.get("normalization")),
            entry.get("weights"),
        )
        for entry in record["rivals"]
    )
    return Standing(tuple(map(Latency.from_dict, record["parent"])), rivals)


def _normalization(entry: Sequence[Sequence[float]] | None) -> tuple[Triple, Triple] | None:
    if entry is None:
        return None
    (red, green, blue), (red_std, green_std, blue_std) = entry
    return (red, green, blue), (red_std, green_std, blue_std)


def _to_dict(rival: Rival) -> dict[str, object]:
    return {
        "name": rival.name,
        "spec": to_dict(rival.spec),
        "latencies": [latency.to_dict() for latency in rival.latencies],
        "opener": rival.opener,
        "normalization": rival.normalization,
        "weights": rival.weights,
    }


class Readings:
    """Latencies of networks, each measured once.

    Args:
        measure: Measures networks.
        targets_ms: The target on each device.
    """

    def __init__(self, measure: Measure, targets_ms: Sequence[float]) -> None:
        self._measure, self._targets_ms = measure, targets_ms
        self._known: dict[str, tuple[Latency, ...]] = {}

    def of(self, spec: ArchSpec) -> tuple[Latency, ...]:
        """Return a network's latency on each device.

        Raises:
            MeasurementError: A device refuses it, or is lost.
        """
        if spec.fingerprint not in self._known:
            (reading,) = self._measure([spec])
            if isinstance(reading, MeasurementError):
                raise reading
            self._known[spec.fingerprint] = reading
        return self._known[spec.fingerprint]

    def overrun(self, spec: ArchSpec) -> float:
        """Return the latency relative to the target, on the device where that is highest.

        It is infinite if a device refuses the network.

        Raises:
            DeviceLostError: A device is lost.
        """
        try:
            latencies = self.of(spec)
        except DeviceLostError:
            raise
        except MeasurementError:
            return math.inf
        times = zip(latencies, self._targets_ms, strict=True)
        return max(one.median_ms / ms for one, ms in times)


def _uniform(space: ElasticSpace, readings: Readings) -> list[Rival]:
    """Find the largest uniform width within the targets at each resolution, the largest first."""
    from netadapt.uniform import widest_uniform  # imports torch

    rivals = []
    for px in sorted(space.resolutions, reverse=True):
        whole = replace(space.parent, resolution=px)
        found = widest_uniform(whole, latency=readings.overrun, limit_ms=1.0)
        if found is None:
            continue
        name = f"width {found.multiplier:.2f} at {px} px" if found.multiplier < 1 else f"{px} px"
        latencies = readings.of(found.spec)
        rivals.append(Rival(name, found.spec, latencies, opener(space, found.multiplier, px)))
    return rivals


def _named(name: str, given: Checkpoint, space: ElasticSpace, readings: Readings) -> Rival:
    """Return a network at the largest resolution of the space at which it is within the targets.

    Raises:
        InputError: It is within them at none, or the device refuses it at all of them.
        DeviceLostError: A device is lost.
    """
    for spec in at_resolutions(given.spec, space):
        if readings.overrun(spec) <= 1:
            return foreign(f"{name} at {spec.resolution} px", given, spec, readings.of(spec))
    raise InputError(
        f"rival {name} is not within the target at any of {list(space.resolutions)} px: leave it out, or "
        "give a higher target"
    )


def foreign(
    name: str, network: Checkpoint, spec: ArchSpec, latencies: tuple[Latency, ...]
) -> Rival:
    """Return a rival with weights of its own.

    Args:
        name: What it is called.
        network: The trained network.
        spec: It, as it is compared: with the data's classes, at a resolution of the space.
        latencies: On each device.
    """
    from nas.checkpoints.torch_files import weights_digest  # imports torch

    own = network.usage.mean, network.usage.std
    digest = weights_digest(network.weights)
    return Rival(name, spec, latencies, normalization=own, weights=digest)


def at_resolutions(spec: ArchSpec, space: ElasticSpace) -> list[ArchSpec]:
    """Return a network with a space's classes at each of its resolutions that fits, the largest first."""
    head = replace(spec.head, classes=space.parent.head.classes)
    stride = total_stride(spec)
    sides = [px for px in sorted(space.resolutions, reverse=True) if px % stride == 0]
    return [replace(spec, head=head, resolution=px) for px in sides]


def opener(space: ElasticSpace, multiplier: float, px: int) -> Tokens | None:
    """Return the network of a space at the largest of its uniform widths up to a multiplier."""
    known = [one for one in space.widths if one in space.expansions and one <= multiplier]
    return space.uniform(max(known), px) if known else None
