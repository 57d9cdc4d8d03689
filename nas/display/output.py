"""Write results to standard output, and everything else to standard error."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from search_spaces.errors import InputError
from search_spaces.shell import quoted

FILE_COLUMNS = 200
"""Line width without a terminal."""

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON document to standard output.")
]


def command(arguments: str, *, program: str = "nas") -> str:
    """Return a command to type, with the program's folder if it is not on the PATH.

    Args:
        arguments: Arguments for a shell, with paths `quoted`.
        program: One of our programs.
    """
    ours = Path(sys.argv[0]).resolve().with_name(program)
    found = shutil.which(program)
    if not ours.exists() or (found is not None and Path(found).resolve() == ours):
        return f"{program} {arguments}"
    with contextlib.suppress(ValueError):
        ours = ours.relative_to(Path.cwd())
    return f"{quoted(ours)} {arguments}"


def search_line(arguments: str) -> str:
    """Return a `nas-search` command to type."""
    return command(arguments, program="nas-search")


def messages() -> Console:
    """Create a console for progress and messages; wide if there is no terminal.

    Square brackets are printed literally, as paths may contain them; see `noted` for bold text.
    """
    console = Console(stderr=True, highlight=False, markup=False)
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if "COLUMNS" not in os.environ and not any(stream.isatty() for stream in streams if stream):
        console.width = FILE_COLUMNS
    return console


class _Plain(logging.Handler):
    """Writes each log record as one line to the current standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        sys.stderr.write(" ".join(record.getMessage().split()) + "\n")


def show_warnings() -> None:
    """Print the package's logged warnings, such as skipped images, in plain lines."""
    logger = logging.getLogger("nas")
    if not any(isinstance(handler, _Plain) for handler in logger.handlers):
        logger.addHandler(_Plain(logging.WARNING))


def results() -> Console:
    """Create a console for result tables, at least 120 columns wide so that none are cut."""
    return Console(highlight=False, markup=False, width=max(Console().width, 120))


def noted(why: str, text: str) -> Text:
    """Prefix a message with a reason in bold."""
    return Text.assemble((why, "bold"), text)


def print_json(document: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def listed(folder: Path, names: Iterable[str]) -> str:
    """List the files that exist in a run's folder."""
    return ", ".join(name for name in names if (folder / name).exists())


def not_over(path: Path, source: str | Path) -> Path:
    """Return the output path after checking that it is not the input file.

    Raises:
        InputError: It is the input file.
    """
    if path.resolve() == Path(source).resolve():
        raise InputError(f"{path} is the input file: choose another --output")
    return path


def require_writable_file(path: Path, *, source: str | Path, is_chosen: bool) -> None:
    """Check that an output file can be written.

    Args:
        path: The output path.
        source: The input file.
        is_chosen: Whether the path is the value of `--output`; a default is never overwritten.

    Raises:
        InputError: It is the input file or a folder, its folder does not exist or cannot be written to, or
            the default exists.
    """
    not_over(path, source)
    if path.exists() and not is_chosen:
        raise InputError(f"{path} exists: move it away, or choose another --output")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file as --output")
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent}: create it, or choose another --output")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be written to ({error.strerror}): choose another --output"
        ) from error
