"""Memory that a training frees stays with the process."""

import platform
import subprocess
import sys

import pytest

from nas.training.machine import allocator

GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, sys
from nas.training.machine.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
size = 64 * 2**20
for _ in range(20):
    block = bytearray(size)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(how):
    """Page faults of a process that fills and frees 64 MiB twenty times."""
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="only glibc returns large blocks at once")
def test_blocks_come_back_without_a_page_fault_each():
    """Of 20 times 16,384 pages of 4 KiB the first 16,384 have to be fetched, the others not again."""
    assert faults("keep") < 0.25 * faults("leave")


def test_other_libraries_are_left_alone(monkeypatch):
    class Library:
        """One without mallopt, as on macOS."""

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Library())
    allocator.keep_freed_memory.cache_clear()
    assert not allocator.keep_freed_memory()
    allocator.keep_freed_memory.cache_clear()
