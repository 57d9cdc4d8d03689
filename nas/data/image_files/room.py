"""Limit how much is decoded at once, whatever the number of threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Room:
    """A semaphore with sizes; a request larger than the whole runs alone.

    Args:
        whole: Capacity, in any unit.
    """

    def __init__(self, whole: float) -> None:
        self._whole, self._taken = whole, 0.0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: float) -> Iterator[None]:
        """Wait until there is room, and reserve it."""
        size = min(size, self._whole)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + size <= self._whole * (1 + 1e-9))
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()
