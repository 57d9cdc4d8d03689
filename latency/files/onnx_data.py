"""Inline the external data of an ONNX model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from latency.files.self_contained import LARGEST
from search_spaces.errors import InputError


def inline_data(model: Any, path: Path) -> bool:
    """Read the external data of a model into the model.

    Args:
        model: An `onnx.ModelProto`; changed in place.
        path: Its file. Data is looked for next to it, whatever the working directory.

    Returns:
        Whether there was any.

    Raises:
        InputError: A data file is missing, too short or outside the model's folder, or the result is too
            large for one file.
    """
    outside = [tensor for tensor in tensors(model) if tensor.data_location == tensor.EXTERNAL]
    files: dict[str, bytes] = {}
    total = model.ByteSize()
    for tensor in outside:
        facts = {entry.key: entry.value for entry in tensor.external_data}
        location = facts.get("location", "")
        if location not in files:
            found = _data_file(path, location, tensor.name)
            total += found.stat().st_size
            if total > LARGEST:
                raise InputError(
                    f"{path}: it is over 2 GB with its data {location!r}: not measured"
                )
            files[location] = _read(found)
        tensor.raw_data = _part(files[location], facts, f"{path}: its data file {location!r}")
        del tensor.external_data[:]
        tensor.data_location = tensor.DEFAULT
    return bool(outside)


def tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor of a model, also in attributes, subgraphs and functions."""
    from onnx import TensorProto

    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        repeated = not hasattr(value, "ListFields")
        for item in value if repeated else (value,):
            if isinstance(item, TensorProto):
                yield item
            elif hasattr(item, "ListFields"):
                yield from tensors(item)


def _data_file(path: Path, location: str, tensor: str) -> Path:
    """Return the data file; it must be in the model's folder, or next to the target of its symlink."""
    wrong = InputError(
        f"{path}: its tensor {tensor!r} is stored in {location!r}, outside the model's folder: put the "
        "data next to the model and name it without a path"
    )
    parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    if not location or "\0" in location or absolute or ".." in parts:
        raise wrong
    try:
        found = (path.parent / location).resolve()
        # Download caches are folders of symlinks into one folder of files.
        allowed = (path.parent.resolve(), path.resolve().parent)
        if not any(found.is_relative_to(folder) for folder in allowed):
            raise wrong
        if not found.exists():
            raise InputError(
                f"{path}: its data file {location!r} is missing: copy it into {path.parent}/"
            )
        if not found.is_file():
            raise InputError(f"{path}: its data {location!r} is not a file")
    except OSError as error:
        raise InputError(f"{path}: its data file {location[:80]!r}: {error.strerror}") from error
    return found


def _read(found: Path) -> bytes:
    try:
        return found.read_bytes()
    except OSError as error:
        raise InputError(
            f"{found}: {error.strerror}: the model's data is there: make it readable"
        ) from error


def _part(data: bytes, facts: dict[str, str], what: str) -> bytes:
    try:
        offset = int(facts.get("offset") or 0)
        length = int(facts.get("length") or len(data) - offset)
    except ValueError:
        raise InputError(
            f"{what} has an offset or length that is not a number: {facts}: export the model again"
        ) from None
    if offset < 0 or length < 0 or offset + length > len(data):
        raise InputError(
            f"{what} has {len(data)} bytes, and {length} from offset {offset} are needed: "
            "it is truncated or of another model; copy it again"
        )
    return data[offset : offset + length]
