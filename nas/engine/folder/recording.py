"""Write `run.json`, the metadata of a run, and check that a resumed run has the same."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nas.atomic_files import read_json, write_whole
from nas.engine.folder.data_changes import WAYS, write_contents
from nas.engine.folder.records import Record, parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import DataChange, DataMetadata, ImagesOfRun
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.data.images import Dataset

OF_IMAGES = frozenset({"data", "training.fidelity", "training.finals_factor"})
"""Metadata derived from the images; the last two depend on their number."""


def record_metadata(folder: RunFolder, metadata: Record, data: Dataset | None = None) -> None:
    """Write `run.json`; a resumed run must have the same metadata.

    Args:
        folder: The run's folder.
        metadata: What must not change when the run is resumed.
        data: The images; their file names and accepted changes are recorded too.

    Raises:
        InputError: The folder's run has different metadata; the message names the first difference.
    """
    path = folder / "run.json"
    begun = folder.search_begun or folder.prepared
    before = read_json(path) if path.is_file() and begun else None
    write_metadata(folder, metadata, data, before=before)


def write_metadata(
    folder: RunFolder,
    metadata: Record,
    data: Dataset | None,
    *,
    before: Any = None,
    free: Collection[str] = (),
) -> None:
    """Write `run.json`, and the names of the images when a run starts or changes are accepted.

    Args:
        folder: The run's folder.
        metadata: See `record_metadata`.
        data: The images.
        before: The recorded metadata of a resumed run as plain data; None for a new run.
        free: Dotted names of metadata that may change.

    Raises:
        InputError: Other metadata differ from those recorded; the message names the first.
    """
    content = metadata.to_dict()
    if before is not None:
        noted = _check_resumed(folder, before, content, data, free=free)
        if noted:
            content["data_changes"] = [change.to_dict() for change in noted]
    write_whole(folder / "run.json", json.dumps(content, indent=1) + "\n")
    if data is not None and data.contents is not None and (before is None or data.changes):
        write_contents(folder, data.contents)


def _check_resumed(
    folder: RunFolder,
    before: Any,
    content: dict[str, Any],
    data: Dataset | None,
    *,
    free: Collection[str],
) -> list[DataChange]:
    """Check that a resumed run has the recorded metadata; return the accepted changes of its images.

    Raises:
        InputError: Metadata differ; the message names the first.
    """
    recorded = parse_record(ImagesOfRun, before, where=folder / "run.json")
    noted = list(recorded.data_changes)
    if data is None or not data.changes:
        _require_same_pixels(folder, recorded.data, data)
        _require_same(folder, before, content, free=free)
    else:
        _require_same(folder, before, content, free={*free, *OF_IMAGES})
        now = datetime.now(UTC).isoformat(timespec="seconds")
        noted.append(DataChange(at=now, what=tuple(data.changes)))
    return noted


def _require_same_pixels(
    folder: RunFolder, before: DataMetadata | None, data: Dataset | None
) -> None:
    """Check that files of the same names have the same pixels.

    Raises:
        InputError: They do not.
    """
    if data is None or data.contents is None or before is None or before.mean is None:
        return
    now = DataMetadata.of(data)
    assert now.mean is not None
    if before.same_files(now) and (before.mean, before.std) != (now.mean, now.std):
        raise InputError(
            f"{folder.path}: the pixels of the training images have changed since the run started (mean "
            f"was {_levels(before.mean)}, is {_levels(now.mean)}): {WAYS}"
        )


def _levels(mean: Sequence[float]) -> str:
    """Format a mean colour as levels 0 to 255."""
    return " ".join(f"{255 * value:.1f}" for value in mean)


def _require_same(
    folder: RunFolder, before: Any, content: dict[str, Any], *, free: Collection[str]
) -> None:
    """Check that metadata equal those recorded, except those at `free`.

    Raises:
        InputError: Some differ; the message names the first.
    """
    changed = _differences(before, content)
    for first in changed:
        if any(f"{first}.".startswith(f"{one}.") for one in free):
            continue
        # The name of a device tells more than its fingerprint, which sorts first.
        named = re.sub(r"\bfingerprint$", "name", first)
        name = named if named in changed else first
        old, new = changed[name]
        raise InputError(
            f"{folder.path}: {name} was {old!r} when this run started and is {new!r} now: resume with the "
            "same settings, or choose another folder"
        )


def _differences(old: Any, new: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the values that differ, by dotted name. Keys missing from one record are ignored.

    >>> _differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a.b': (1, 3)}
    """
    if _is_records(old) and _is_records(new) and len(old) == len(new):
        old, new = ({str(place): record for place, record in enumerate(it)} for it in (old, new))
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new or (_is_empty(old) and _is_empty(new)) else {name: (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in old.keys() & new.keys():
        found |= _differences(old[key], new[key], f"{name}.{key}" if name else key)
    return dict(sorted(found.items()))


def _is_empty(value: Any) -> bool:
    return isinstance(value, dict | list) and not value


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
