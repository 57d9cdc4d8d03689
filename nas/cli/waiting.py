"""What takes a while: shown in place on a terminal, elsewhere in a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

SAY_AFTER_S = 15.0
"""How long nothing is said where there is no terminal."""


class Waiting:
    """What is under way.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status = console.status("")
        self._said_s = time.monotonic()

    def begin(self, text: str, *, said: bool = False) -> None:
        """Something begins; elsewhere than on a terminal it is told at once, unless it was `said`."""
        self._status.update(text)
        self._status.start()
        self._said_s = time.monotonic()
        if not said:
            say(self.console, text)

    def update(self, text: str) -> None:
        """How it stands."""
        self._status.update(text)
        if time.monotonic() - self._said_s >= SAY_AFTER_S:
            self._said_s = time.monotonic()
            say(self.console, text)

    def end(self) -> None:
        """It has ended: leave the screen as it is."""
        self._status.stop()


@contextmanager
def waiting(console: Console, text: str) -> Iterator[Waiting]:
    """Show what is under way as long as it is."""
    shown = Waiting(console)
    shown.begin(text)
    try:
        yield shown
    finally:
        shown.end()


def say(console: Console, text: str) -> None:
    """A plain line where a terminal would show it in place."""
    if not console.is_terminal or console.is_dumb_terminal:
        console.print(text, soft_wrap=True)
