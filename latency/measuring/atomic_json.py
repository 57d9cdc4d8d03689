"""Small JSON files that outlive a process: readings, and the anchor's record."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from search_spaces.errors import InputError


def keep_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that other processes may read and write too: they see all of it or nothing.

    Raises:
        InputError: It cannot be written.
    """
    with writing(path.parent):
        _replace(path, content)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say of a folder of kept latencies that it cannot be written.

    Raises:
        InputError: It cannot.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}: latencies cannot be kept there; free the disk, or set "
            "MOBILE_NAS_CACHE to a folder that can be written"
        ) from error


def _replace(path: Path, content: dict[str, Any]) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        temporary = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            with suppress(OSError):  # where nothing can be written nothing can be removed
                temporary.unlink(missing_ok=True)
        raise
