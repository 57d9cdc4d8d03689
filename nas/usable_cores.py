"""Count the CPU cores that this process may use, which may be fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

QUOTA_FILES = {"": ("", ["cpu.max"]), "cpu": ("cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"])}
"""Folder and files of a quota, by controller: version 2 of control groups names none."""


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use; at least 1.

    Batch systems, `taskset` and `docker --cpuset-cpus` choose the cores; `docker --cpus` and Kubernetes
    limit CPU time, here as a number of cores, rounded up.

    Args:
        root: Root of the file system.
    """
    chosen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([chosen or 1, *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of the control groups that hold this process, in cores."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in QUOTA_FILES.keys() & controllers.split(","):
            place, names = QUOTA_FILES[controller]
            top = root / "sys/fs/cgroup" / place
            inner = top / group.lstrip("/")
            # A container sees its own group at the top, although the path may be that of the host.
            for folder in (one for one in (inner, *inner.parents) if one.is_relative_to(top)):
                values = " ".join(_text(folder / name) for name in names).split()
                if len(values) == 2 and all(map(str.isdecimal, values)):  # else -1 or max: no limit
                    yield int(values[0]) / int(values[1])


def _text(path: Path) -> str:
    """Return the content of a file; empty if the system has none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
