"""When and where the state of a training is kept, so that it can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from nas.training.progress import Progress


class Keeper(Protocol):
    """Keeps a training's state."""

    def load(self) -> dict[str, Any] | None:
        """Return the last state that was kept; None at the beginning."""
        ...

    def due(self, step: int, epoch_steps: int) -> bool:
        """Return whether to keep the state after this many steps; asked at every report of progress."""
        ...

    def keep(self, state: dict[str, Any], progress: Progress) -> None:
        """Keep a state; `progress` is that of the same step."""
        ...


class Due:
    """A state is kept at the end of each epoch, and after some minutes within one.

    Args:
        minutes: Minutes between two states within an epoch.
        clock: Seconds, as `time.monotonic`.
    """

    def __init__(
        self, *, minutes: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = 60 * minutes
        self._clock = clock
        self._kept_s = clock()

    def __call__(self, step: int, epoch_steps: int) -> bool:
        """Return whether to keep the state after this many steps."""
        return step % epoch_steps == 0 or self._clock() - self._kept_s >= self._seconds

    def kept(self) -> None:
        """Restart the timer."""
        self._kept_s = self._clock()
