"""This machine's CPU while measuring: pinning to a core, temperature and frequency."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from latency.measuring.runtime import Conditions

SYSFS = Path("/sys")


@contextmanager
def pinned(core: int | None = None, *, root: Path = SYSFS) -> Iterator[int | None]:
    """Pin this thread to one core, where the system allows it.

    Args:
        core: The core; by default the fastest that the process may use.
        root: Root of sysfs.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    chosen = fastest_core(before, root=root) if core is None else core
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def fastest_core(cores: Collection[int], *, root: Path = SYSFS) -> int:
    """Return the core with the highest maximum clock; the last of equal or unknown ones.

    The numbers alone do not tell: big cores have the high ones on boards, but the low ones on PCs.

    Args:
        cores: Numbers to choose from.
        root: Root of sysfs.
    """

    def speed(core: int) -> tuple[float, int]:
        return _number(_clocks(core, root) / "cpuinfo_max_freq") or 0.0, core

    return max(cores, key=speed)


def linux_conditions(core: int | None = None, *, root: Path = SYSFS) -> Conditions:
    """Read temperature and frequency from Linux's sysfs; None where they are missing.

    Args:
        core: The core whose frequency to read; by default that of `pinned`.
        root: Root of sysfs.
    """
    if core is None:
        usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        core = fastest_core(usable, root=root)
    zones = (_number(path) for path in root.glob("class/thermal/thermal_zone*/temp"))
    temperatures = [value / 1000 for value in zones if value is not None]
    frequency = _number(_clocks(core, root) / "scaling_cur_freq")
    return Conditions(
        celsius=max(temperatures, default=None),
        frequency_mhz=None if frequency is None else frequency / 1000,
    )


def _clocks(core: int, root: Path) -> Path:
    return root / f"devices/system/cpu/cpu{core}/cpufreq"


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
