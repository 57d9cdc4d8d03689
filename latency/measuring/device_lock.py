"""Exclusive use of a device among the processes of this machine."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latency.measuring.source import Device, DeviceLostError

WAIT_S = 600.0
"""How long to wait for another process that measures on the same device."""
POLL_S = 0.05
"""Pause between attempts to lock it."""


@contextmanager
def exclusive_use(device: Device, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Lock the device against other processes of this machine, whoever runs them.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        DeviceLostError: Another process held the lock for `wait_s` seconds, or the file cannot be locked.
    """
    name = "this-machine" if device.local else device.fingerprint
    path = Path(tempfile.gettempdir()) / f"mobile-nas-measuring-{name}.lock"
    with _opened(path) as file:
        deadline = time.monotonic() + wait_s
        while not _locked(file, path):
            if time.monotonic() >= deadline:
                raise DeviceLostError(
                    f"another process has been measuring on {device.name} for {wait_s:g} s ({path})"
                )
            time.sleep(POLL_S)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a forked child may have the file open, too


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the lock's file; create it for all users, since they measure on this machine, too."""
    # In shared folders Linux forbids O_CREAT on another user's file, and filelock refuses it altogether.
    try:
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            os.fchmod(file, 0o666)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        yield file
    finally:
        os.close(file)


def _locked(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _unusable(path, error) from error
    return True


def _unusable(path: Path, error: OSError) -> DeviceLostError:
    return DeviceLostError(
        f"{path}: {error.strerror}: measuring locks this file: make it writable, or set TMPDIR to another "
        "folder, the same for all who measure here"
    )
