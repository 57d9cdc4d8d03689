"""A latency, and the contract of every latency source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, Self

from search_spaces.spec import ArchSpec


@dataclass(frozen=True)
class Device:
    """The device that latencies belong to.

    Attributes:
        name: Processor, runtime and threads, as displayed.
        fingerprint: Changes with anything that changes latencies; part of every cache key.
        estimate: Whether latencies are computed, not measured; shown wherever they are.
        local: Whether measuring uses this machine's own cores, so that nothing may train meanwhile.
        make: Fingerprint of the model, shared by identical devices; only devices with one can be in a pool.
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
        estimate: Whether it is computed, not measured.
        stable: Whether no disturbance was detected.
        problems: The disturbances, in words.
        anchor_ms: The anchor's latency in the same rounds: `median_ms` over the median ratio to the anchor.
            None without an anchor.
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

    def scaled_to_anchor(self, anchor_ms: float | None) -> Self:
        """Scale the reading to another latency of the anchor; unchanged without an anchor.

        A device's speed drifts over hours; the ratio of a network to a similar anchor hardly does. Readings
        taken hours apart are therefore compared at one anchor latency (see `Measured.with_anchor`).

        >>> lab = Device("lab", "f0")
        >>> slow = replace(Latency.exactly(6.6, lab), anchor_ms=1.1)
        >>> round(slow.scaled_to_anchor(1.0).median_ms, 6)
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
        """Return plain data, as in run logs and caches."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Restore a reading from `to_dict`."""
        problems = tuple(dict(data).get("problems", ()))  # missing in records of earlier versions
        return cls(**{**data, "ci95_ms": tuple(data["ci95_ms"]), "problems": problems})

    @classmethod
    def exactly(cls, ms: float, device: Device) -> Self:
        """Make a latency without spread, as estimates have."""
        return cls(ms, (ms, ms), ms, ms, 0, device.name, device.fingerprint, device.estimate, True)


class LatencySource(Protocol):
    """Measures or estimates latency on one device, at the network's own resolution and batch 1.

    Plug-ins are entry points of the group `mobile_nas.latency`: `--device NAME[:ARGUMENT]` selects one by
    name and calls its value with the argument (or "").
    """

    @property
    def device(self) -> Device:
        """The device."""
        ...

    def latency(self, spec: ArchSpec) -> Latency:
        """Return the latency of `spec`.

        Raises:
            MeasurementError: This network cannot be measured; others may.
            DeviceLostError: No network can be measured until the device is back.
        """
        ...


class MeasurementError(RuntimeError):
    """A network could not be measured on the device."""


class DeviceLostError(MeasurementError):
    """The device cannot measure any network: it is disconnected or in use."""


def devices_of(source: LatencySource) -> Sequence[Device]:
    """Return the devices of a source that measure in parallel: a pool's members, else its only one.

    A source with several is called from as many threads.
    """
    own: Sequence[Device] = getattr(source, "devices", (source.device,))
    return own


def with_anchor(source: LatencySource, reference: ArchSpec) -> LatencySource:
    """Return the source with another anchor, if it uses one; see `Measured.with_anchor`."""
    chosen: LatencySource = (
        source.with_anchor(reference) if hasattr(source, "with_anchor") else source
    )
    return chosen


def close(source: LatencySource) -> None:
    """Free what a source keeps on its device between measurements, if anything."""
    if hasattr(source, "close"):
        source.close()


def check_latency_source(source: LatencySource, small: ArchSpec, large: ArchSpec) -> None:
    """Assert the contract of `LatencySource`; run by the tests of every source.

    Args:
        source: The source under test.
        small: A network.
        large: One with at least four times its MAdds.

    Raises:
        AssertionError: A part of the contract is broken; the message names it.
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
    "check_latency_source",
    "close",
    "devices_of",
    "with_anchor",
]
