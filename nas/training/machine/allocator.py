"""Keep memory that a training step frees for the next step, instead of returning it to the system.

Activations of tens of megabytes are freed and allocated hundreds of times a step. The C library returns
blocks of that size to the system at once and gets them back as empty pages, which the kernel must fill
with zeros. At 64 px this takes a quarter of a step's time, half for some networks
(benchmarks/RESULTS.md).
"""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of <malloc.h>
_NEVER = 2**31 - 1
_LARGE = (2**30, 2**25)
"""Bytes; larger blocks are still mapped and returned one by one. Old versions cap the second setting."""


@cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees; return whether the C library supports it.

    The process then holds its peak memory until it ends. Only glibc's allocator is known to need this;
    elsewhere nothing changes and the result is False.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (
        AttributeError,
        OSError,
        TypeError,
    ):  # macOS and musl lack the function, Windows the library
        return False
    mapped = any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGE)
    return mapped and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
