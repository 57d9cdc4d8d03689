"""Say which run a published file such as `runs/seed.pt` came from."""

from __future__ import annotations

from pathlib import Path

from nas.display.output import messages
from nas.engine.folder.publishing import run_of

_said: set[Path] = set()
"""Files whose run this command has already named."""


def forget() -> None:
    """Forget the files named so far; called when a command starts."""
    _said.clear()


def say_run(path: Path | str, run: str | None = None) -> None:
    """Print the run that a file names, if any, to standard error, once per command.

    Args:
        path: The file.
        run: The run's name if already known; None reads the file.

    Raises:
        InputError: The file is damaged.
    """
    path = Path(path)
    if path in _said:
        return
    _said.add(path)
    if run := run_of(path) if run is None else run:
        messages().print(f"{path}: from run {run}", soft_wrap=True)
