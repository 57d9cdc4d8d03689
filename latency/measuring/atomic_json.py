"""Atomically written JSON files of the latency cache: readings and anchor records."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from search_spaces.errors import InputError


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a file atomically; other processes may read and write it at the same time.

    Raises:
        InputError: It cannot be written.
    """
    with cache_errors(path.parent):
        _replace(path, content)


@contextmanager
def cache_errors(folder: Path) -> Iterator[None]:
    """Turn an `OSError` while writing to the cache into a one-line error.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}: latencies cannot be stored there; free disk space, or set "
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
            with suppress(OSError):  # nor can the temporary file be removed
                temporary.unlink(missing_ok=True)
        raise
