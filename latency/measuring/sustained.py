"""A network run without a pause for minutes, as a phone in use runs it: what heat does to latency."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from latency.measuring.device_lock import alone_on
from latency.measuring.runtime import Runtime

WINDOWS = 12
BURST = 8
"""Runs between two looks at the clock."""


@dataclass(frozen=True)
class Window:
    """A part of a sustained run.

    Attributes:
        end_s: When it ended, from the beginning, in seconds.
        median_ms: Of its runs.
        celsius: The device's temperature at its end, where it tells.
        frequency_mhz: The core's frequency at its end, where the device tells.
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
    tell: Callable[[Window], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Window]:
    """Run a model so long, in twelve windows.

    Args:
        runtime: Where.
        model: In the runtime's format.
        seconds: How long.
        tell: Is given each window when it ends.
        clock: Seconds.

    Raises:
        MeasurementError: The device refuses the model, or has gone.
    """
    with alone_on(runtime.device):
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
                tell(windows[-1])
            return windows
        finally:
            network.close()
