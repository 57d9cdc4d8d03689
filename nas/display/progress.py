"""Show progress: in place on a terminal, elsewhere as an occasional plain line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from nas.formatting import duration

SAY_FIRST_S = 2.0
"""Minimum duration before progress is shown without a terminal."""

SAY_AFTER_S = 15.0
"""Minimum time between lines for updates, without a terminal."""

SAY_EVERY_S = 60.0
"""Time between lines if there are no updates, without a terminal."""

LONG_S = 10.0
"""Time without an update after which that time is shown."""


class Waiting:
    """Shows the current activity, and how long it has had no update.

    Args:
        console: Console to print to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._text = ""
        self._status = console.status(self)
        self._news_s = self._said_s = self._due_s = time.monotonic()
        self._ended = threading.Event()

    def begin(self, text: str, *, after_s: float = 0.0) -> None:
        """Start showing an activity.

        Args:
            text: The activity.
            after_s: Delay before the first line without a terminal; 0 prints it at once.
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
        """Replace the text."""
        self._set(text)
        if self._news_s - self._said_s >= SAY_AFTER_S:
            self._say(text)

    def end(self) -> None:
        """Stop showing the activity."""
        self._ended.set()
        self._status.stop()

    def __rich__(self) -> Text:
        """Render the text for a terminal, repeatedly."""
        return Text(self._now())

    def _now(self) -> str:
        since_s = time.monotonic() - self._news_s
        return (
            self._text if since_s < LONG_S else f"{self._text} (no update for {duration(since_s)})"
        )

    def _set(self, text: str) -> None:
        self._text, self._news_s = text, time.monotonic()

    def _say(self, text: str) -> None:
        self._said_s = time.monotonic()
        self._due_s = self._said_s + SAY_EVERY_S
        say(self.console, text)

    def _repeat(self, ended: threading.Event) -> None:
        """Print from time to time that the activity continues, without a terminal."""
        while not ended.wait(max(0.0, self._due_s - time.monotonic())):
            if time.monotonic() >= self._due_s:
                self._say(self._now())


@contextmanager
def waiting(console: Console, text: str, *, after_s: float = SAY_FIRST_S) -> Iterator[Waiting]:
    """Show an activity until the block ends; see `Waiting.begin`."""
    shown = Waiting(console)
    shown.begin(text, after_s=after_s)
    try:
        yield shown
    finally:
        shown.end()


def in_place(console: Console) -> bool:
    """Whether the console is a terminal that can show progress in place."""
    return console.is_terminal and not console.is_dumb_terminal


def say(console: Console, text: str) -> None:
    """Print a plain line if progress cannot be shown in place."""
    if not in_place(console):
        console.print(text, soft_wrap=True)


def progress_bar(console: Console, *fields: str) -> Progress:
    """Create a bar with the steps done, the time left, and further fields of its task."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        *(TextColumn(f"{{task.fields[{name}]}}") for name in fields),
        console=console,
    )
