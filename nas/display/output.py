"""Where commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from search_spaces.errors import InputError
from search_spaces.shell import quoted

FILE_COLUMNS = 200
"""Where no terminal says how wide a line may be."""

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON document to standard output.")
]


def command(arguments: str, *, program: str = "nas") -> str:
    """What to type: with the program's folder where the shell would not find it.

    Args:
        arguments: As a shell takes them: paths in them are `quoted`.
        program: One of ours.
    """
    ours = Path(sys.argv[0]).resolve().with_name(program)
    found = shutil.which(program)
    if not ours.exists() or (found is not None and Path(found).resolve() == ours):
        return f"{program} {arguments}"
    with contextlib.suppress(ValueError):
        ours = ours.relative_to(Path.cwd())
    return f"{quoted(ours)} {arguments}"


def search_line(arguments: str) -> str:
    """What to type for a search."""
    return command(arguments, program="nas-search")


def messages() -> Console:
    """Progress and messages; wide where there is no terminal to look at.

    Square brackets are what they are, as in a path: what is bold is a `Text`, see `noted`.
    """
    console = Console(stderr=True, highlight=False, markup=False)
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if "COLUMNS" not in os.environ and not any(stream.isatty() for stream in streams if stream):
        console.width = FILE_COLUMNS
    return console


class _Plain(logging.Handler):
    """Writes what is logged to standard error as it is now, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        sys.stderr.write(" ".join(record.getMessage().split()) + "\n")


def show_warnings() -> None:
    """Show what the packages warn of, as of images that are left out; without this Python decides."""
    logger = logging.getLogger("nas")
    if not any(isinstance(handler, _Plain) for handler in logger.handlers):
        logger.addHandler(_Plain(logging.WARNING))


def results() -> Console:
    """Tables that the command was asked for: whole, also where the terminal is narrower."""
    return Console(highlight=False, markup=False, width=max(Console().width, 112))


def noted(why: str, text: str) -> Text:
    """A message that begins, in bold, with why it is to be read."""
    return Text.assemble((why, "bold"), text)


def print_json(document: Any) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def listed(folder: Path, names: Iterable[str]) -> str:
    """Those of the files that a run has, for people."""
    return ", ".join(name for name in names if (folder / name).exists())


def not_over(path: Path, source: str | Path) -> Path:
    """The path to write, unless that is the file that is read.

    Raises:
        InputError: It is.
    """
    if path.resolve() == Path(source).resolve():
        raise InputError(f"{path} is the file that is read: choose another --output")
    return path
