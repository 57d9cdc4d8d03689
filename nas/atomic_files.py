"""Files that are whole, or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from search_spaces import InputError

T = TypeVar("T")


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Raises:
        InputError: The disk is full or the folder cannot be written.
    """
    # A name of the process's own: another one may be writing the same file.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # where nothing can be written nothing is left to be removed
            temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path}: {error.strerror}: free the disk or choose another folder"
        ) from error


def read_json(path: Path) -> Any:
    """What a file of a run holds.

    Raises:
        InputError: It is not there, or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: damaged or not there ({error}): restore it from a copy, or begin another run"
        ) from error


def read_lines(path: Path, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """The whole lines of a log of JSON; none where there is no file.

    Another process may be writing the next line, so nothing is mended here.

    Raises:
        InputError: A line that is not the last is damaged.
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
