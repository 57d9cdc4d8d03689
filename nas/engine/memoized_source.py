"""A latency source that asks another once a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from latency import Device, Latency, LatencySource, units
from latency.estimates.lazy_table import OnDemand
from search_spaces import ArchSpec

CONFIRMATIONS = 3
"""Readings of a network that is confirmed."""


class Remembering:
    """A latency source that asks another once a network; also a function to milliseconds.

    An unstable reading is not measured again: a network's latency would change while it is compared.
    Readings are told at the pace that the device had at the first one, since hours lie between them.

    Args:
        source: The source to ask.
        tell: Is given the number of networks asked so far.
    """

    def __init__(self, source: LatencySource, tell: Callable[[int], None] = lambda _: None) -> None:
        self.source, self.tell = source, tell
        self.readings: dict[str, Latency] = {}
        self._pace_ms: float | None = None

    @property
    def device(self) -> Device:
        """The device of the source behind."""
        return self.source.device

    @property
    def units(self) -> Sequence[Device]:
        """The devices behind it: see `latency.units`."""
        return units(self.source)

    def latency(self, spec: ArchSpec) -> Latency:
        """The network's latency."""
        return self.reading(spec)

    def __call__(self, spec: ArchSpec) -> float:
        """The network's latency in milliseconds."""
        return self.reading(spec).median_ms

    def reading(self, spec: ArchSpec) -> Latency:
        """The network's latency.

        Raises:
            MeasurementError: See `LatencySource`.
        """
        if spec.fingerprint not in self.readings:
            self.know(spec, self.source.latency(spec))
            self.tell(len(self.readings))
        return self.readings[spec.fingerprint]

    def confirm(self, spec: ArchSpec) -> Latency | None:
        """The network measured anew and by itself; None where nothing is measured at all.

        What many readings were compared to choose is mostly one that came out too low. Of
        `CONFIRMATIONS` new readings the middle one is taken.

        Raises:
            MeasurementError: See `LatencySource`.
        """
        if isinstance(self.source, OnDemand):
            measure = self.source.confirm
        elif self.device.estimate:
            return None
        else:
            measure = self.source.latency
        readings = [measure(spec).at_pace(self._pace_ms) for _ in range(CONFIRMATIONS)]
        return sorted(readings, key=lambda reading: reading.median_ms)[CONFIRMATIONS // 2]

    def know(self, spec: ArchSpec, reading: Latency) -> None:
        """Take a reading; the first of a device with an anchor sets the pace.

        A measured reading calibrates a source by pieces; what that has told before is forgotten.
        """
        self._pace_ms = self._pace_ms or reading.anchor_ms
        if isinstance(self.source, OnDemand) and not reading.estimate:
            self.source.calibrate(spec, reading)
            self.readings = {k: r for k, r in self.readings.items() if not r.estimate}
        self.readings[spec.fingerprint] = reading.at_pace(self._pace_ms)
