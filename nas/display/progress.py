"""What takes a while: shown in place on a terminal, elsewhere in a plain line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from nas.formatting import duration

SAY_FIRST_S = 2.0
"""What is over sooner need not be told where there is no terminal."""

SAY_AFTER_S = 15.0
"""How long news waits there."""

SAY_EVERY_S = 60.0
"""How long nothing is said there without news."""

LONG_S = 10.0
"""After which it is told for how long there has been no news."""


class Waiting:
    """What is under way, and since when there has been no news of it.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._text = ""
        self._status = console.status(self)
        self._news_s = self._said_s = self._due_s = time.monotonic()
        self._ended = threading.Event()

    def begin(self, text: str, *, after_s: float = 0.0) -> None:
        """Something begins.

        Args:
            text: What.
            after_s: When it is told elsewhere than on a terminal: at once, or only if it takes so long.
        """
        self.end()
        self._set(text)
        self._said_s, self._due_s = self._news_s, self._news_s + after_s
        self._status.start()
        if not after_s:
            self._say(text)
        if not in_place(self.console):
            self._ended = threading.Event()
            threading.Thread(target=self._repeat, args=(self._ended,), daemon=True).start()

    def update(self, text: str) -> None:
        """How it stands."""
        self._set(text)
        if self._news_s - self._said_s >= SAY_AFTER_S:
            self._say(text)

    def end(self) -> None:
        """It has ended: leave the screen as it is."""
        self._ended.set()
        self._status.stop()

    def __rich__(self) -> Text:
        """What a terminal shows, drawn again and again."""
        return Text(self._now())

    def _now(self) -> str:
        since_s = time.monotonic() - self._news_s
        return self._text if since_s < LONG_S else f"{self._text} (no news for {duration(since_s)})"

    def _set(self, text: str) -> None:
        self._text, self._news_s = text, time.monotonic()

    def _say(self, text: str) -> None:
        self._said_s = time.monotonic()
        self._due_s = self._said_s + SAY_EVERY_S
        say(self.console, text)

    def _repeat(self, ended: threading.Event) -> None:
        """Say where there is no terminal that it still goes on."""
        while not ended.wait(max(0.0, self._due_s - time.monotonic())):
            if time.monotonic() >= self._due_s:
                self._say(self._now())


@contextmanager
def waiting(console: Console, text: str, *, after_s: float = SAY_FIRST_S) -> Iterator[Waiting]:
    """Show what is under way as long as it is; see `Waiting.begin`."""
    shown = Waiting(console)
    shown.begin(text, after_s=after_s)
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
        console.print(text, soft_wrap=True)
