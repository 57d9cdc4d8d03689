"""A latency source that asks another once a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from latency import Device, Latency, LatencySource, Measured
from search_spaces import ArchSpec


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

    @classmethod
    def beside(cls, source: LatencySource, reference: ArchSpec) -> Self:
        """Where the source measures, each network is measured in turns with a reference that it is like."""
        return cls(source.beside(reference) if isinstance(source, Measured) else source)

    @property
    def device(self) -> Device:
        """The device of the source behind."""
        return self.source.device

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

    def know(self, spec: ArchSpec, reading: Latency) -> None:
        """Take a reading; the first of a device with an anchor sets the pace."""
        self._pace_ms = self._pace_ms or reading.anchor_ms
        self.readings[spec.fingerprint] = reading.at_pace(self._pace_ms)
