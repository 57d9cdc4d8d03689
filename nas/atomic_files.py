"""Write files atomically; read JSON files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from search_spaces import InputError

T = TypeVar("T")


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file atomically: readers see the old content or the new one, never a part.

    Raises:
        InputError: The disk is full or the folder is not writable.
    """
    # Include the process id, as another process may write the same file.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # on a read-only disk there is nothing to remove
            temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path}: {error.strerror}: free disk space or choose another folder"
        ) from error


def remove_parts(folder: Path) -> None:
    """Remove what processes killed in `write_whole` have left in a folder and in those directly in it."""
    for part in (*folder.glob("*.part"), *folder.glob("*/*.part")):
        if re.search(r"\.\d+\.part$", part.name):
            with suppress(OSError):  # they do no harm
                part.unlink()


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        InputError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: missing or damaged ({error}): restore it from a copy, or start a new run"
        ) from error


def read_object(path: Path, *, remedy: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: The file cannot be read or holds something else; the message ends with the remedy.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path} cannot be read (expected keys and values, got {type(content).__name__}): {remedy}"
        )
    return content


def read_lines(path: Path, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """Parse the complete lines of a JSON log; empty if there is no file.

    Another process may be writing the next line, so nothing is repaired here.

    Raises:
        InputError: A line other than the last is damaged.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    parsed = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            parsed.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}: damaged ({error}): restore the file from a copy"
            ) from error
    return parsed


def cut_torn_line(path: Path) -> None:
    """Remove a last line that a crash has cut short; only for the process that holds the run."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)
