"""What a latency is and what can tell one: the contract of every source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, Self

from search_spaces.spec import ArchSpec


@dataclass(frozen=True)
class Device:
    """What latencies are told for.

    Attributes:
        name: For people: the processor, the runtime and its threads.
        fingerprint: Changes with anything that changes latencies; part of every cache key.
        estimate: Whether the figures are computed and not measured. Shown wherever they are.
        local: Whether measuring uses this machine's own cores, so that nothing may train meanwhile.
        make: What all devices of its make have in place of the fingerprint, where there may be
            several of them; such may be in a pool.
    """

    name: str
    fingerprint: str
    estimate: bool = False
    local: bool = False
    make: str = ""


@dataclass(frozen=True)
class Latency:
    """Time of one inference at batch 1, in milliseconds.

    Attributes:
        median_ms: Median of the blocks' medians.
        ci95_ms: Bootstrap interval of `median_ms` over blocks, 95%.
        min_ms: Fastest single run.
        p90_ms: 90th percentile of all runs.
        samples: Number of runs; 0 for an estimate.
        device: The device's name.
        fingerprint: The device's fingerprint.
        estimate: Whether it is computed and not measured.
        stable: Whether nothing was seen to disturb the measurement.
        problems: What was, in words.
        anchor_ms: The device's pace meanwhile, by the anchor network: `median_ms` over the median ratio
            to it. None where no anchor ran.
    """

    median_ms: float
    ci95_ms: tuple[float, float]
    min_ms: float
    p90_ms: float
    samples: int
    device: str
    fingerprint: str
    estimate: bool
    stable: bool
    problems: tuple[str, ...] = ()
    anchor_ms: float | None = None

    def at_pace(self, anchor_ms: float | None) -> Self:
        """The reading as it would be where the anchor takes so long; itself where no anchor ran.

        A device's pace drifts over hours; a network's ratio to an anchor that is like it hardly does. So
        readings of different hours are compared at one pace (`Measured.beside` chooses the anchor).

        >>> lab = Device("lab", "f0")
        >>> slow = replace(Latency.exactly(6.6, lab), anchor_ms=1.1)
        >>> round(slow.at_pace(1.0).median_ms, 6)
        6.0
        """
        if anchor_ms is None or self.anchor_ms is None:
            return self
        factor = anchor_ms / self.anchor_ms
        low, high = self.ci95_ms
        return replace(
            self,
            median_ms=self.median_ms * factor,
            ci95_ms=(low * factor, high * factor),
            min_ms=self.min_ms * factor,
            p90_ms=self.p90_ms * factor,
            anchor_ms=anchor_ms,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it stands in run logs and caches."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The reading that `to_dict` gave."""
        problems = tuple(dict(data).get("problems", ()))  # records of earlier versions have none
        return cls(**{**data, "ci95_ms": tuple(data["ci95_ms"]), "problems": problems})

    @classmethod
    def exactly(cls, ms: float, device: Device) -> Self:
        """A figure without spread, as an estimate gives."""
        return cls(ms, (ms, ms), ms, ms, 0, device.name, device.fingerprint, device.estimate, True)


class LatencySource(Protocol):
    """Tells a network's latency on one device, at the network's own resolution and batch 1.

    Third parties add theirs by an entry point of the group `mobile_nas.latency`: its name is what
    `--device NAME[:ARGUMENT]` selects, its value is called with the argument (or "").
    """

    @property
    def device(self) -> Device:
        """What the latencies are told for."""
        ...

    def latency(self, spec: ArchSpec) -> Latency:
        """The latency of `spec`.

        Raises:
            MeasurementError: This network could not be measured; others may be.
            DeviceLostError: None can be any more, until the device is back.
        """
        ...


class MeasurementError(RuntimeError):
    """A network could not be measured on the device."""


class DeviceLostError(MeasurementError):
    """The device itself cannot be measured on any more, whatever the network: it is gone, or taken."""


def units(source: LatencySource) -> Sequence[Device]:
    """The devices behind a source, which measure at the same time: a pool's members, else its own one.

    A source of several is asked from as many threads.
    """
    own: Sequence[Device] = getattr(source, "units", (source.device,))
    return own


def beside(source: LatencySource, reference: ArchSpec) -> LatencySource:
    """The source with another network as its anchor, if it has one: see `Measured.beside`."""
    chosen: LatencySource = source.beside(reference) if hasattr(source, "beside") else source
    return chosen


def close(source: LatencySource) -> None:
    """Take off a source's device what is kept there between measurements, if it keeps anything."""
    if hasattr(source, "close"):
        source.close()


def check_latency_source(source: LatencySource, small: ArchSpec, large: ArchSpec) -> None:
    """Assert the contract of `LatencySource`: what every source's tests begin with.

    Args:
        source: The source under test.
        small: A network.
        large: One with at least four times its multiply-adds.

    Raises:
        AssertionError: A part of the contract is broken; says which.
    """
    assert source.device.name, "a device has a name"
    assert source.device.fingerprint, "a device has a fingerprint"
    readings = [source.latency(spec) for spec in (small, large)]
    for reading in readings:
        low, high = reading.ci95_ms
        assert 0 < reading.min_ms <= reading.median_ms, f"0 < min <= median: {reading}"
        assert low <= reading.median_ms <= high, f"the interval holds the median: {reading}"
        assert math.isfinite(reading.p90_ms), f"p90 is finite: {reading}"
        assert reading.fingerprint == source.device.fingerprint, "a reading names its device"
        assert reading.estimate == source.device.estimate, "an estimate says so"
        assert reading.samples > 0 or reading.estimate, "a measurement has samples"
        assert Latency.from_dict(reading.to_dict()) == reading, "a reading survives to_dict"
    assert readings[0].median_ms < readings[1].median_ms, "four times the work takes longer"


__all__ = [
    "Device",
    "DeviceLostError",
    "Latency",
    "LatencySource",
    "MeasurementError",
    "beside",
    "check_latency_source",
    "close",
    "units",
]
