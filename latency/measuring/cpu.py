"""This machine's CPU while measuring: pinning to a core, temperature and frequency."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latency.measuring.runtime import Conditions


@contextmanager
def pinned(core: int | None = None) -> Iterator[int | None]:
    """Pin this thread to one core, where the system allows it.

    Args:
        core: The core; by default the last that the process may use. Where cores differ, as on phones and
            boards, the big ones have the high numbers.
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


def linux_conditions(core: int | None = None, *, root: Path = Path("/sys")) -> Conditions:
    """Read temperature and frequency from Linux's sysfs; None where they are missing.

    Args:
        core: The core whose frequency to read; by default that of `pinned`.
        root: Root of sysfs.
    """
    if core is None:
        core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
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
