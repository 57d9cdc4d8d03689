"""Write `run.json`, the metadata of a run, and check that a resumed run has the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nas.atomic_files import read_json, write_whole
from nas.engine.data_changes import WAYS, write_contents
from nas.engine.run_folder import RunFolder
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.data.images import Dataset


def data_metadata(data: Dataset) -> dict[str, Any]:
    """Return the metadata of the images as plain data."""
    left_out = {"left_out": {"images": len(data.left_out), "names": list(data.left_out)}}
    return {
        "name": data.name,
        "classes": len(data.classes),
        "train": len(data.train),
        "val": len(data.val),
        "test": len(data.test),
        "px": data.resolution_px,
        "class_names": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
        **(left_out if data.left_out else {}),
    }


def record_metadata(
    folder: RunFolder, metadata: dict[str, Any], data: Dataset | None = None
) -> None:
    """Write `run.json`; a resumed run must have the same metadata.

    Args:
        folder: The run's folder.
        metadata: See `search_metadata`.
        data: The images; their file names and accepted changes are recorded too.

    Raises:
        InputError: The folder's run has different metadata; the message names the first difference.
    """
    path = folder / "run.json"
    metadata = json.loads(json.dumps(metadata))  # as it is read back
    begun = path.is_file() and folder.begun
    if begun:
        metadata = resumed_metadata(folder, read_json(path), metadata, data)
    write_whole(path, json.dumps(metadata, indent=1) + "\n")
    keep_contents(folder, data, begun=begun)


def resumed_metadata(
    folder: RunFolder, before: dict[str, Any], metadata: dict[str, Any], data: Dataset | None
) -> dict[str, Any]:
    """Keep the recorded metadata of a resumed run, except accepted data changes.

    Raises:
        InputError: Other metadata differ; the message names the first.
    """
    noted = list(before.get("data_changes", []))
    if data is None or not data.changes:
        _require_same_pixels(folder, before, metadata, data)
        require_same(folder, before, metadata)
    else:
        require_same(folder, _without_data(before), _without_data(metadata))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        noted.append({"at": now, "what": list(data.changes)})
    return metadata | ({"data_changes": noted} if noted else {})


def keep_contents(folder: RunFolder, data: Dataset | None, *, begun: bool) -> None:
    """Record the names of a run's images when it starts, and when changes are accepted.

    Args:
        folder: The run's folder.
        data: The images.
        begun: Whether the run is resumed; the record then stays unless changes were accepted.
    """
    if data is None or data.contents is None or (begun and not data.changes):
        return
    write_contents(folder, data.contents)


def _without_data(metadata: dict[str, Any]) -> dict[str, Any]:
    """Drop metadata derived from the images; the fidelity depends on their number."""
    kept = {name: fact for name, fact in metadata.items() if name != "data"}
    training = kept.get("training")
    if isinstance(training, dict):
        kept["training"] = {name: fact for name, fact in training.items() if name != "fidelity"}
    return kept


def _require_same_pixels(
    folder: RunFolder, before: dict[str, Any], metadata: dict[str, Any], data: Dataset | None
) -> None:
    """Check that files of the same names have the same pixels.

    Raises:
        InputError: They do not.
    """
    if data is None or data.contents is None or "mean" not in before.get("data", {}):
        return
    old, new = before["data"], metadata["data"]
    same = {
        name for name in ("train", "val", "test", "px", "class_names") if old.get(name) == new[name]
    }
    if len(same) == 5 and (old["mean"], old["std"]) != (new["mean"], new["std"]):
        raise InputError(
            f"{folder.path}: the pixels of the training images have changed since the run started (mean "
            f"was {_levels(old['mean'])}, is {_levels(new['mean'])}): {WAYS}"
        )


def _levels(mean: Sequence[float]) -> str:
    """Format a mean colour as levels 0 to 255."""
    return " ".join(f"{255 * value:.1f}" for value in mean)


def require_same(folder: RunFolder, before: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Check that a resumed run has the same metadata.

    Raises:
        InputError: Some differ; the message names the first.
    """
    for name, (old, new) in _differences(before, metadata).items():
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
        return {} if old == new else {name: (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in old.keys() & new.keys():
        found |= _differences(old[key], new[key], f"{name}.{key}" if name else key)
    return dict(sorted(found.items()))


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
