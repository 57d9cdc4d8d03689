"""Shell quoting: commands in messages must work when pasted."""

from __future__ import annotations

import shlex
from pathlib import Path


def quoted(argument: str | Path) -> str:
    """Quote an argument for a POSIX shell, so that no command takes it for an option.

    >>> print(quoted("runs/one"), quoted("my runs/$1"), quoted("-x/seed.pt"))
    runs/one 'my runs/$1' ./-x/seed.pt
    """
    text = str(argument)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
