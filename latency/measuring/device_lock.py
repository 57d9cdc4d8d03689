"""Keeping a machine to oneself while measuring on it, as far as a program can."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, DeviceLostError, MeasurementError

WAIT_S = 600.0
"""How long to wait for another process that measures on the same device."""


@contextmanager
def alone_on(device: Device, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the device against other processes of this machine; they wait for each other.

    The system frees it when the process ends, however it ends.

    Raises:
        DeviceLostError: Another process has held it all the time.
    """
    name = "this-machine" if device.local else device.fingerprint
    path = Path(tempfile.gettempdir()) / f"mobile-nas-measuring-{name}.lock"
    # Other users measure on this machine too, so the file is everyone's.
    lock = filelock.FileLock(path, mode=0o666, is_singleton=True)
    try:
        lock.acquire(timeout=wait_s)
    except filelock.Timeout:
        raise DeviceLostError(
            f"another process has been measuring on {device.name} for {wait_s:g} s ({path})"
        ) from None
    try:
        yield
    finally:
        lock.release()


def run_clock(*, threads: int) -> Callable[[], float]:
    """Seconds by which to time a runtime that computes in this thread, or in several.

    With one thread, the time that the thread had a core: where nothing else wants the core that is the
    time that passed, and where something does, the other's turns are not in it. What stays in it is what
    the other does to caches and clocks; the anchor tells that.
    """
    return time.thread_time if threads == 1 else time.perf_counter


CLOCK_STOPS = 8
"""Runs of a measurement over which the clock may stand still."""


def times_ms(call: Callable[[], object], count: int, clock: Callable[[], float]) -> list[float]:
    """Milliseconds of each of so many runs, all above 0.

    On a virtual machine a thread's clock stands still over a run once in a million or so; such a run
    tells nothing, and is repeated.

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


@contextmanager
def pinned(core: int | None = None) -> Iterator[int | None]:
    """Keep this thread on one core, where the system lets a program choose.

    Args:
        core: Which; by default the last that the process may use. Where cores differ, as on phones
            and boards, the big ones have the high numbers.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    chosen = max(before) if core is None else core
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def linux_conditions(core: int = 0, *, root: Path = Path("/sys")) -> Conditions:
    """Temperature and frequency as Linux tells them; nothing where it does not.

    Args:
        core: Whose frequency.
        root: Where the system's tree is.
    """
    zones = (_number(path) for path in root.glob("class/thermal/thermal_zone*/temp"))
    temperatures = [value / 1000 for value in zones if value is not None]
    frequency = _number(root / f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")
    return Conditions(
        celsius=max(temperatures, default=None),
        frequency_mhz=None if frequency is None else frequency / 1000,
    )


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
