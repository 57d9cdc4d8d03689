"""Memory that a training step frees is kept for the next one, instead of going back to the system.

Activations of tens of megabytes are freed and allocated again hundreds of times a step. The C library
returns blocks of that size to the system at once, and gets each one anew as empty pages, which the kernel
has to fill with zeros first: a quarter of a step's time at 64 px, of some networks half
(benchmarks/RESULTS.md).
"""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of <malloc.h>
_NEVER = 2**31 - 1
_LARGE = (2**30, 2**25)
"""Bytes; larger blocks still are mapped and returned one by one. Older versions take the second at most."""


@cache
def keep_freed_memory() -> bool:
    """Let this process hold on to the memory that it frees; whether the C library lets itself be told.

    It holds as much as it used at its peak, until it ends. Only glibc's allocator is known to need this:
    elsewhere nothing changes, and the answer is False.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (
        AttributeError,
        OSError,
        TypeError,
    ):  # macOS and musl have none; Windows no such library
        return False
    mapped = any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGE)
    return mapped and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
