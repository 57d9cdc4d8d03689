"""Latencies measured once per network, and kept for as long as a run compares networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from latency import Device, Latency, LatencySource, devices_of
from latency.estimates.lazy_table import LazyTable
from search_spaces import ArchSpec

CONFIRMATIONS = 3
"""Readings that confirm a network's latency."""


class MemoizedSource:
    """A latency source that asks another once per network; also callable, returning milliseconds.

    An unstable reading is not repeated: a network's latency must not change while networks are compared.
    Readings are scaled to one speed of the device, since hours lie between them.

    Args:
        source: The source to ask.
        progress: Called with the number of networks asked so far.
        pace_ms: The anchor's latency that readings are scaled to; None takes that of the first one.
    """

    def __init__(
        self,
        source: LatencySource,
        progress: Callable[[int], None] = lambda _: None,
        *,
        pace_ms: float | None = None,
    ) -> None:
        self.source, self.progress = source, progress
        self.readings: dict[str, Latency] = {}
        self._pace_ms = pace_ms

    @property
    def device(self) -> Device:
        """The device of the wrapped source."""
        return self.source.device

    @property
    def devices(self) -> Sequence[Device]:
        """The devices of the wrapped source: see `latency.devices_of`."""
        return devices_of(self.source)

    def latency(self, spec: ArchSpec) -> Latency:
        """Return the network's latency."""
        return self.reading(spec)

    def __call__(self, spec: ArchSpec) -> float:
        """Return the network's latency in milliseconds."""
        return self.reading(spec).median_ms

    def reading(self, spec: ArchSpec) -> Latency:
        """Return the network's latency.

        Raises:
            MeasurementError: See `LatencySource`.
        """
        if spec.fingerprint not in self.readings:
            self.know(spec, self.source.latency(spec))
            self.progress(len(self.readings))
        return self.readings[spec.fingerprint]

    def confirm(self, spec: ArchSpec) -> Latency | None:
        """Measure the network again, by itself; None for a source that only estimates.

        The best of many noisy readings is biased low. Returns the median of `CONFIRMATIONS` new readings.

        Raises:
            MeasurementError: See `LatencySource`.
        """
        if isinstance(self.source, LazyTable):
            measure = self.source.confirm
        elif self.device.estimate:
            return None
        else:
            measure = self.source.latency
        readings = [measure(spec).scaled_to_anchor(self._pace_ms) for _ in range(CONFIRMATIONS)]
        return sorted(readings, key=lambda reading: reading.median_ms)[CONFIRMATIONS // 2]

    def know(self, spec: ArchSpec, reading: Latency) -> None:
        """Store a reading; the first one of a device with an anchor sets the reference speed.

        A measured reading calibrates a lazy lookup table; its earlier estimates are dropped.
        """
        self._pace_ms = self._pace_ms or reading.anchor_ms
        reading = reading.scaled_to_anchor(self._pace_ms)
        if isinstance(self.source, LazyTable) and not reading.estimate:
            self.source.calibrate(spec, reading)
            self.readings = {k: r for k, r in self.readings.items() if not r.estimate}
        self.readings[spec.fingerprint] = reading
