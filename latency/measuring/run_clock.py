"""Timing single runs on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from latency.measuring.source import MeasurementError

CLOCK_STOPS = 8
"""Runs of a measurement over which the clock may stand still."""


def run_clock(*, threads: int) -> Callable[[], float]:
    """Return the clock, in seconds, for a runtime that computes in this thread or in several.

    With one thread it is the thread's CPU time, which excludes time spent preempted. What another program
    does to caches and clock speed is still included; the anchor reveals that.
    """
    return time.thread_time if threads == 1 else time.perf_counter


def time_runs(call: Callable[[], object], count: int, clock: Callable[[], float]) -> list[float]:
    """Time `count` calls; return milliseconds, all above 0.

    On a virtual machine a thread's clock stands still over about one run in a million; such a run is
    repeated.

    Raises:
        MeasurementError: The clock stands still again and again.
    """
    taken: list[float] = []
    for _ in range(count + CLOCK_STOPS):
        if len(taken) == count:
            break
        begin = clock()
        call()
        if (ms := (clock() - begin) * 1e3) > 0:
            taken.append(ms)
    if len(taken) < count:
        raise MeasurementError(
            f"this machine's clock stood still over {CLOCK_STOPS} of {count} runs: it is too coarse"
        )
    return taken
