"""Paths as they are typed: what a message tells the user to type must work when it is pasted."""

from __future__ import annotations

import shlex
from pathlib import Path


def quoted(argument: str | Path) -> str:
    """An argument as a POSIX shell takes it, and no command takes for an option.

    >>> print(quoted("runs/one"), quoted("my runs/$1"), quoted("-x/seed.pt"))
    runs/one 'my runs/$1' ./-x/seed.pt
    """
    text = str(argument)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
