"""What takes a while: shown in place on a terminal, elsewhere in a plain line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from nas.readable import duration

SAY_AFTER_S = 15.0
"""How long news waits where there is no terminal."""

SAY_FIRST_S = 2.0
"""What is over sooner is not told there, unless it is to be told at once."""

SAY_EVERY_S = 60.0
"""How long nothing is said there without news."""

LONG_S = 10.0
"""After which a terminal shows for how long it has been so."""


class Waiting:
    """What is under way, and for how long.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._text = ""
        self._status = console.status(self)
        self._began_s = self._said_s = time.monotonic()
        self._ended = threading.Event()

    def begin(self, text: str, *, said: bool = False, at_once: bool = True) -> None:
        """Something begins; elsewhere than on a terminal it is told.

        Args:
            text: What.
            said: Whether it was told already.
            at_once: Whether it is told at once; else after `SAY_FIRST_S`.
        """
        self.end()
        self._set(text)
        self._said_s = self._began_s
        self._status.start()
        if at_once and not said:
            say(self.console, text)
        if not in_place(self.console):
            self._ended = threading.Event()
            first_s = SAY_EVERY_S if at_once or said else SAY_FIRST_S
            arguments = (self._ended, first_s)
            threading.Thread(target=self._repeat, args=arguments, daemon=True).start()

    def update(self, text: str) -> None:
        """How it stands."""
        self._set(text)
        if self._began_s - self._said_s >= SAY_AFTER_S:
            self._said_s = self._began_s
            say(self.console, text)

    def end(self) -> None:
        """It has ended: leave the screen as it is."""
        self._ended.set()
        self._status.stop()

    def __rich__(self) -> Text:
        """What a terminal shows, drawn again and again."""
        return Text(self._line() if time.monotonic() - self._began_s >= LONG_S else self._text)

    def _line(self) -> str:
        return f"{self._text} (no news for {duration(time.monotonic() - self._began_s)})"

    def _set(self, text: str) -> None:
        self._text, self._began_s = text, time.monotonic()

    def _repeat(self, ended: threading.Event, wait_s: float) -> None:
        """Say where there is no terminal that it still goes on."""
        while not ended.wait(wait_s):
            silent_s = time.monotonic() - self._said_s
            if wait_s < SAY_EVERY_S or silent_s >= SAY_EVERY_S:
                self._said_s, silent_s = time.monotonic(), 0.0
                say(self.console, self._line())
            wait_s = max(0.01, SAY_EVERY_S - silent_s)


@contextmanager
def waiting(console: Console, text: str, *, at_once: bool = False) -> Iterator[Waiting]:
    """Show what is under way as long as it is; see `Waiting.begin`."""
    shown = Waiting(console)
    shown.begin(text, at_once=at_once)
    try:
        yield shown
    finally:
        shown.end()


def in_place(console: Console) -> bool:
    """Whether what is under way is shown in place, as on a terminal."""
    return console.is_terminal and not console.is_dumb_terminal


def say(console: Console, text: str) -> None:
    """A plain line where a terminal would show it in place."""
    if not in_place(console):
        console.print(text, soft_wrap=True, markup=False)
