"""What runs networks on a device: the only part that differs between measuring sources.

A runtime exports, loads and runs. When to run what, how often, and what the times amount to is decided in
one place for all of them: `measured.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from latency.measuring.source import Device
from search_spaces.spec import ArchSpec


class Loaded(Protocol):
    """A network on the device, ready to run."""

    def run(self, times: int) -> list[float]:
        """Run it so many times in a row; each run's time in milliseconds.

        Raises:
            MeasurementError: It cannot be run, or the device has gone.
        """
        ...

    def close(self) -> None:
        """Give back what it holds on the device."""
        ...


class Runtime(Protocol):
    """Exports networks for a device and runs them there.

    It may have an attribute `formats`, the suffixes of the files that it runs (`.onnx`, `.tflite`). A
    user's file is then checked before it is loaded, and its input is fixed to the resolution given.
    """

    @property
    def device(self) -> Device:
        """What is measured on."""
        ...

    def export(self, spec: ArchSpec) -> bytes:
        """The network as a file of the format that the device runs, with random weights."""
        ...

    def load(self, model: bytes) -> Loaded:
        """A network brought to the device.

        Raises:
            MeasurementError: The device refuses it; its message is passed on.
        """
        ...

    def conditions(self) -> Conditions:
        """How the device is at this moment, as far as it tells."""
        ...


@dataclass(frozen=True)
class Conditions:
    """State of a device that changes its speed; None where it does not tell.

    Attributes:
        celsius: Of the hottest zone.
        frequency_mhz: Of the core that measures.
        throttled: Whether the device says that it slows itself down.
    """

    celsius: float | None = None
    frequency_mhz: float | None = None
    throttled: bool = False
