"""The JSON sidecar next to a network's file that describes how to feed it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from nas.atomic_files import write_whole
from nas.checkpoints.feeding import KEY, Feed
from search_spaces import InputError

_log = logging.getLogger(__name__)

FILE = "file"
"""Key for the name of the file that a sidecar describes."""


def write_sidecar(path: Path, feed: Feed) -> Path:
    """Write `NAME.json` next to `NAME.onnx`, or `NAME.onnx.json` if the former belongs to something else.

    Returns:
        The path written to.

    Raises:
        InputError: The disk is full or the folder is not writable.
    """
    short = path.with_suffix(".json")
    chosen = short if _may_be_replaced(short, path) else path.with_name(f"{path.name}.json")
    write_whole(chosen, json.dumps({FILE: path.name} | feed.to_dict(), indent=2) + "\n")
    return chosen


def own_or_beside(path: Path, own: str | bytes | None, *, size_px: int | None) -> Feed:
    """Return the description of a file: its own, or else that of a sidecar.

    Args:
        path: The file.
        own: The description in the file.
        size_px: Side of its input, if fixed.

    Raises:
        InputError: Neither exists, or it cannot be read.
    """
    if own is None:
        return _beside(path, size_px=size_px)
    feed = Feed.from_json(own, where=str(path), size_px=size_px)
    known = json.loads(feed.to_json())  # lists in place of tuples
    for sidecar in _candidates(path):
        found = _read(sidecar)
        if found is not None and found.get(FILE) == path.name:
            if {key: found.get(key) for key in known} != known:
                _log.warning("%s differs from the description in %s, which is used", sidecar, path)
            break
    return feed


def _beside(path: Path, *, size_px: int | None) -> Feed:
    for sidecar in _candidates(path):
        if sidecar.is_file():
            found = _read(sidecar)
            if found is None:
                raise InputError(f"{sidecar}: not a JSON object: it should describe {path.name}")
            return Feed.from_dict(found, where=str(sidecar), size_px=size_px)
    raise InputError(
        f"{path} does not say how to feed it: put {path.with_suffix('.json').name} next to it with its "
        "classes, size_px, mean and std (docs/how-to/deploy.md)"
    )


def _candidates(path: Path) -> tuple[Path, Path]:
    """Return where a sidecar may be, the most specific first."""
    return path.with_name(f"{path.name}.json"), path.with_suffix(".json")


def _may_be_replaced(sidecar: Path, path: Path) -> bool:
    """Return whether a JSON file is missing, or is the sidecar of the same file."""
    if not sidecar.exists():
        return True
    found = _read(sidecar)
    return found is not None and KEY in found and found.get(FILE) == path.name


def _read(sidecar: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
