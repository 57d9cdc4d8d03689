"""`run.json`: what a run does, where and on what data; a resumed run must have the same metadata."""

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
    """What is trained and tested on, as plain data."""
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
    """Write `run.json`: what is searched, where, on what. A resumed run must have the same metadata.

    Args:
        folder: The run's.
        metadata: See `search_metadata`.
        data: The images: the names of their files are kept too, and changes that were accepted noted.

    Raises:
        InputError: The folder's run has other metadata; the first that differs is named.
    """
    path = folder / "run.json"
    metadata = json.loads(json.dumps(metadata))  # as it will be read
    begun = path.is_file() and folder.begun
    if begun:
        metadata = gone_on(folder, read_json(path), metadata, data)
    write_whole(path, json.dumps(metadata, indent=1) + "\n")
    keep_contents(folder, data, begun=begun)


def gone_on(
    folder: RunFolder, before: dict[str, Any], metadata: dict[str, Any], data: Dataset | None
) -> dict[str, Any]:
    """Keep the recorded metadata of a resumed run, except accepted data changes.

    Raises:
        InputError: Others differ; the first is named.
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
    """Keep the names of a run's files when it begins, and where changes of them are accepted.

    Args:
        folder: The run's.
        data: Its images.
        begun: Whether it goes on: then what it began with stays.
    """
    if data is None or data.contents is None or (begun and not data.changes):
        return
    write_contents(folder, data.contents)


def _without_data(metadata: dict[str, Any]) -> dict[str, Any]:
    """Drop metadata derived from the images; the length of a first part depends on their number."""
    kept = {name: fact for name, fact in metadata.items() if name != "data"}
    training = kept.get("training")
    if isinstance(training, dict):
        kept["training"] = {name: fact for name, fact in training.items() if name != "fidelity"}
    return kept


def _require_same_pixels(
    folder: RunFolder, before: dict[str, Any], metadata: dict[str, Any], data: Dataset | None
) -> None:
    """Say in words that files of the same names and sizes hold other pixels.

    Raises:
        InputError: They do.
    """
    if data is None or data.contents is None or "mean" not in before.get("data", {}):
        return
    old, new = before["data"], metadata["data"]
    same = {
        name for name in ("train", "val", "test", "px", "class_names") if old.get(name) == new[name]
    }
    if len(same) == 5 and (old["mean"], old["std"]) != (new["mean"], new["std"]):
        raise InputError(
            f"{folder.path}: the pixels of the training images are not what they were when the run began "
            f"(their mean was {_levels(old['mean'])}, and is {_levels(new['mean'])}): {WAYS}"
        )


def _levels(mean: Sequence[float]) -> str:
    """A mean as people see colours, 0 to 255."""
    return " ".join(f"{255 * value:.1f}" for value in mean)


def require_same(folder: RunFolder, before: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Refuse to go on with a run of other metadata.

    Raises:
        InputError: Some differ; the first is named.
    """
    for name, (old, new) in _differences(before, metadata).items():
        raise InputError(
            f"{folder.path}: {name} was {old!r} when this run began and is {new!r} now: go on with "
            "what it began with, or choose another folder"
        )


def _differences(old: Any, new: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two records differ, by dotted name. A fact that one of them lacks says nothing.

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
