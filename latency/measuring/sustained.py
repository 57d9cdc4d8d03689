"""Sustained latency: run a network for minutes without a pause, to see the effect of heat."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from latency.measuring.device_lock import exclusive_use
from latency.measuring.runtime import Runtime

WINDOWS = 12
BURST = 8
"""Runs between two readings of the clock."""


@dataclass(frozen=True)
class Window:
    """A part of a sustained run.

    Attributes:
        end_s: Its end, in seconds from the start of the run.
        median_ms: Median of its runs.
        celsius: The device's temperature at its end, where known.
        frequency_mhz: The core's frequency at its end, where known.
    """

    end_s: float
    median_ms: float
    celsius: float | None
    frequency_mhz: float | None


def sustained(
    runtime: Runtime,
    model: bytes,
    seconds: float,
    *,
    on_window: Callable[[Window], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Window]:
    """Run a model for a time; return its latency over twelve windows.

    Args:
        runtime: Runs the model.
        model: File in the runtime's format.
        seconds: Duration.
        on_window: Called with each window when it ends.
        clock: Returns seconds.

    Raises:
        MeasurementError: The device rejects the model, or is lost.
    """
    with exclusive_use(runtime.device):
        network = runtime.load(model)
        try:
            begin = clock()
            windows = []
            for _, end in pairwise(np.linspace(0.0, seconds, WINDOWS + 1)):
                times = network.run(BURST)
                while clock() - begin < end:
                    times += network.run(BURST)
                state = runtime.conditions()
                windows.append(
                    Window(
                        clock() - begin, float(np.median(times)), state.celsius, state.frequency_mhz
                    )
                )
                on_window(windows[-1])
            return windows
        finally:
            network.close()
