"""Readings on one scale, whatever else the machine is doing."""

from __future__ import annotations

from pathlib import Path

from latency.measuring.cache import Cached
from latency.measuring.measured import Measured
from latency.measuring.source import Device, Latency
from latency.measuring.user_folders import cache_folder
from search_spaces.spec import ArchSpec


class Scaled:
    """A source whose readings are scaled to one time of its anchor.

    Args:
        source: Measures next to the anchor.
        anchor_ms: Time of the anchor that readings are scaled to; None leaves them as they are.
    """

    def __init__(self, source: Measured, anchor_ms: float | None) -> None:
        self.source, self.anchor_ms = source, anchor_ms

    @property
    def device(self) -> Device:
        """The device."""
        return self.source.device

    def latency(self, spec: ArchSpec) -> Latency:
        """Measure a network, and scale the reading.

        Raises:
            MeasurementError: The device rejects it, or is lost.
        """
        return self.source.latency(spec).scaled_to_anchor(self.anchor_ms)

    def close(self) -> None:
        """Remove the anchor from the device."""
        self.source.close()


class Paced:
    """A source whose readings are those of one pace of the device.

    On a shared machine a reading taken in a busy minute may be twice that of a quiet one, and the machine
    of tomorrow may be another. A network's ratio to an anchor that is run in the same rounds hardly changes
    if the anchor is a similar network, such as the parent of the network that is measured
    (`Measured.with_anchor`). So every reading, one from the cache too, is scaled to one time of the anchor:
    that which is given, or else its best on the device when the first network is asked for. The reading
    keeps its problems.

    Args:
        source: Measures next to the anchor.
        anchor_ms: Time of the anchor that readings are scaled to.
        folder: Of the cache; None takes the user's.
    """

    def __init__(
        self, source: Measured, *, anchor_ms: float | None = None, folder: Path | None = None
    ) -> None:
        # Other anchors have other ratios, so each has readings of its own.
        beside = (folder or cache_folder()) / f"beside-{source.anchor.fingerprint}"
        self.source, self.anchor_ms = source, anchor_ms
        self._cached = Cached(source, beside)

    @property
    def device(self) -> Device:
        """The device."""
        return self.source.device

    @property
    def uncached(self) -> Scaled:
        """The same source, which measures each time that it is asked."""
        return Scaled(self.source, self.anchor_ms)

    def holds(self, spec: ArchSpec) -> bool:
        """Whether a reading of this network is cached."""
        return self._cached.holds(spec)

    def latency(self, spec: ArchSpec) -> Latency:
        """Measure a network, unless a reading is cached, and scale the reading.

        Raises:
            MeasurementError: The device rejects it, or is lost.
        """
        reading = self._cached.latency(spec)
        if self.anchor_ms is None:
            self.anchor_ms = self.source.best_anchor_ms
        return reading.scaled_to_anchor(self.anchor_ms)

    def close(self) -> None:
        """Remove the anchor from the device."""
        self.source.close()
