"""Which run a file is of that lies beside the run folders, as `runs/seed.pt`: said where it is read."""

from __future__ import annotations

from pathlib import Path

from nas.cli.output import messages
from nas.publishing import run_of

_said: set[Path] = set()
"""Files of which this command has said it."""


def forget() -> None:
    """Another command begins."""
    _said.clear()


def say_run(path: Path | str, run: str | None = None) -> None:
    """Say on standard error, once a command, which run a file is of, if it names one.

    Args:
        path: The file.
        run: What it names, where that is known; it is read again otherwise.

    Raises:
        InputError: The file is damaged.
    """
    path = Path(path)
    if path in _said:
        return
    _said.add(path)
    if run := run_of(path) if run is None else run:
        messages().print(f"{path}: of run {run}", soft_wrap=True)
