"""Measure networks next to each other, all in one session."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from latency import (
    Cached,
    DeviceLostError,
    LatencySource,
    Measured,
    MeasurementError,
    Paced,
    Timing,
)
from latency.measuring.energy import energies_of
from nas.atomic_files import read_json, write_whole
from nas.comparing.contestant import Contestant
from nas.engine.folder.run_folder import RunFolder
from nas.engine.runner import stops_if_lost
from nas.engine.watching import RunWatcher
from nas.statistics.confidence_intervals import mean_with_interval
from search_spaces import ArchSpec, InputError

FILE = "latencies.json"

LONGER = Timing(max_s=4.0, half_width=0.005, retries=3)
"""Several times as long as a search measures: the result is reported, not only compared with a target."""


@dataclass(frozen=True)
class Read:
    """A network's latency on a device, next to that of the first network.

    Attributes:
        ms: Median.
        ci95_ms: Its 95% interval over blocks.
        of_first: Median ratio to the first network in the same rounds.
        of_first_ci95: Its 95% interval over rounds.
        problems: Disturbances while it was measured.
        energy_mj: Energy of an inference in millijoules above the idle machine's; None if the system does
            not tell.
        energy_half: Half of its 95% interval (Student's t).
    """

    ms: float
    ci95_ms: tuple[float, float]
    of_first: float
    of_first_ci95: tuple[float, float]
    problems: tuple[str, ...] = ()
    energy_mj: float | None = None
    energy_half: float | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the reading that `to_dict` gave."""
        tuples = ("ci95_ms", "of_first_ci95", "problems")
        return cls(**{**data, **{name: tuple(data[name]) for name in tuples}})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def recorded_reads(
    run: RunFolder,
    contestants: Sequence[Contestant],
    sources: Sequence[LatencySource],
    watcher: RunWatcher,
) -> list[tuple[Read, ...]]:
    """Return the latency of each network on each device, measured once and kept.

    Raises:
        InputError: A device refuses a network.
        RunStoppedError: A device is lost.
    """
    path, devices = run / FILE, [source.device.fingerprint for source in sources]
    if path.is_file() and (kept := read_json(path))["devices"] == devices:
        return [tuple(map(Read.from_dict, reads)) for reads in kept["reads"]]
    specs, names = [one.spec for one in contestants], [one.name for one in contestants]
    by_device = []
    for done, source in enumerate(sources):
        watcher.measuring(done, len(sources))
        try:
            with stops_if_lost():
                by_device.append(read_together(source, specs, names=names))
        except DeviceLostError:
            raise
        except MeasurementError as refused:
            raise InputError(
                f"cannot be measured on {source.device.name}: {refused}: leave the network out, or give "
                "another --device"
            ) from refused
    found = list(zip(*by_device, strict=True))
    content = {"devices": devices, "reads": [[one.to_dict() for one in row] for row in found]}
    write_whole(path, json.dumps(content, indent=1) + "\n")
    return found


def read_together(
    source: LatencySource, specs: Sequence[ArchSpec], *, names: Sequence[str] = ()
) -> list[Read]:
    """Return the latencies of networks on a device, interleaved.

    Estimates have no spread, so they are computed one by one; a pool of devices measures one by one too.

    Args:
        source: The device.
        specs: The networks.
        names: Their names in error messages.

    Raises:
        MeasurementError: The device cannot measure one.
    """
    plain = source.source if isinstance(source, Cached) else source
    plain = plain.source if isinstance(plain, Paced) else plain
    if not isinstance(plain, Measured):
        return _one_by_one(source, specs)
    models = [plain.runtime.export(spec) for spec in specs]
    readings = plain.with_timing(LONGER).measure(models, names=names)
    energies = energies_of(plain.runtime, models)
    reads = []
    for place, reading in enumerate(readings):
        latency, ratio = reading.latency, reading.over(readings[0])
        energy = (None, None) if energies is None else mean_with_interval(energies[place])
        reads.append(
            Read(
                latency.median_ms,
                latency.ci95_ms,
                ratio.value,
                ratio.ci95,
                latency.problems,
                *energy,
            )
        )
    return reads


def _one_by_one(source: LatencySource, specs: Sequence[ArchSpec]) -> list[Read]:
    readings = [source.latency(spec) for spec in specs]
    reads = []
    for reading in readings:
        ratio = reading.median_ms / readings[0].median_ms
        reads.append(
            Read(reading.median_ms, reading.ci95_ms, ratio, (ratio, ratio), reading.problems)
        )
    return reads
