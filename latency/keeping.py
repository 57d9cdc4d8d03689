"""Small JSON files that outlive a process: readings, and the anchor's record."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from search_spaces.errors import InputError


def keep_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that other processes may read and write too: they see all of it or nothing.

    Raises:
        InputError: It cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        temporary = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):  # where nothing can be written nothing can be removed
                temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path.parent}: {error.strerror}: latencies cannot be kept there; free the disk, or set "
            "MOBILE_NAS_CACHE to a folder that can be written"
        ) from error
