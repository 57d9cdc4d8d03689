"""The runtime of a device: it exports, loads and runs networks.

What to run when, how often, and how the times are summarized is the same for all runtimes: `measured.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from latency.measuring.source import Device
from search_spaces.spec import ArchSpec


class Loaded(Protocol):
    """A network loaded on the device."""

    def run(self, times: int) -> list[float]:
        """Run it `times` times in a row; return milliseconds of each run.

        Raises:
            MeasurementError: It cannot be run, or the device is lost.
        """
        ...

    def close(self) -> None:
        """Free what it holds on the device."""
        ...


class Runtime(Protocol):
    """Exports networks for a device and runs them there.

    It may have an attribute `formats`, the suffixes of the files that it runs (`.onnx`, `.tflite`). A
    user's file is then checked before it is loaded, and its input fixed to the given resolution.
    """

    @property
    def device(self) -> Device:
        """The device."""
        ...

    def export(self, spec: ArchSpec) -> bytes:
        """Export a network with random weights to the device's format."""
        ...

    def load(self, model: bytes) -> Loaded:
        """Load a file on the device.

        Raises:
            MeasurementError: The device rejects it; the message is the device's.
        """
        ...

    def conditions(self) -> Conditions:
        """Return the device's current state, as far as it is known."""
        ...


@dataclass(frozen=True)
class Conditions:
    """What determines a device's speed; None where it is unknown.

    Attributes:
        celsius: Temperature of the hottest zone.
        frequency_mhz: Frequency of the measuring core.
        throttled: Whether the device reports throttling.
    """

    celsius: float | None = None
    frequency_mhz: float | None = None
    throttled: bool = False
