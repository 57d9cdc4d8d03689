"""Exclusive use of a device among the processes of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from latency.measuring.source import Device, DeviceLostError

WAIT_S = 600.0
"""How long to wait for another process that measures on the same device."""


@contextmanager
def exclusive_use(device: Device, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Lock the device against other processes of this machine.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        DeviceLostError: Another process held the lock for `wait_s` seconds.
    """
    name = "this-machine" if device.local else device.fingerprint
    path = Path(tempfile.gettempdir()) / f"mobile-nas-measuring-{name}.lock"
    # Other users measure on this machine too, so everyone may write the file.
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
