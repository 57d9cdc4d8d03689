"""Readings on one scale, whatever else the machine is doing."""

from __future__ import annotations

from latency.measuring.measured import Measured
from latency.measuring.source import Device, Latency
from search_spaces.spec import ArchSpec


class Paced:
    """A source whose readings are scaled to the anchor's best time on the device.

    On a shared machine a reading taken in a busy minute may be twice that of a quiet one. Its ratio to an
    anchor that is run in the same rounds hardly changes if the anchor is a similar network, such as the
    parent of the network that is measured (`Measured.with_anchor`). The reading keeps its problems.

    Args:
        source: Measures next to the anchor.
    """

    def __init__(self, source: Measured) -> None:
        self.source = source

    @property
    def device(self) -> Device:
        """The device."""
        return self.source.device

    def latency(self, spec: ArchSpec) -> Latency:
        """Measure a network, and scale the reading.

        Raises:
            MeasurementError: The device rejects it, or is lost.
        """
        reading = self.source.latency(spec)
        return reading.scaled_to_anchor(self.source.best_anchor_ms)

    def close(self) -> None:
        """Remove the anchor from the device."""
        self.source.close()
