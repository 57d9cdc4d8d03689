"""Read torch files without executing anything in them."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nas.checkpoints.class_names import listed
from nas.checkpoints.file_kinds import (
    STATE_DICT,
    expands,
    foreign,
    foreign_archive,
    head_of,
    is_safetensors,
    is_zip,
)
from search_spaces import InputError

PICKLE_BYTES = 1 << 20
"""Where a pickle names its classes, before its numbers."""


def read_torch(path: Path, *, wanted: str) -> dict[str, Any]:
    """Read the mapping in a torch file; only containers, numbers and tensors are loaded.

    Raises:
        InputError: The file is missing, damaged, contains code, or is not a mapping; the message ends with
            what is `wanted`.
    """
    require_weights(path, wanted=wanted)
    if is_safetensors(head_of(path)):
        raise InputError(
            f"{path}: is a safetensors file with weights alone: give {wanted}, or convert it by "
            f"nas import --arch NAME --weights {path}"
        )
    try:
        with warnings.catch_warnings():  # about an old pickle protocol
            warnings.simplefilter("ignore")
            with path.open("rb") as file:  # given a path, torch would judge by its suffix
                content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: give {wanted}") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: {_more_than_weights(path, error)}; give {wanted}") from error
    except Exception as error:
        raise InputError(f"{path}: damaged, or not a torch file: give {wanted}") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise InputError(f"{path}: contains {kind}, not named weights: give {wanted}")
    return content


def require_weights(path: Path, *, wanted: str) -> None:
    """Check that a file is intact and of a kind that can contain weights.

    Raises:
        InputError: It is missing, damaged, or of another kind, which the message names with a remedy.
    """
    try:
        problem = _problem(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: give {wanted}") from error
    except (zipfile.BadZipFile, EOFError, zlib.error, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: damaged ({error}): give {wanted}") from error
    if problem is not None:
        raise InputError(f"{path}: {problem}: give {wanted}")


def _problem(path: Path) -> str | None:
    """Find what is wrong with a file before it is loaded.

    Torch writes checksums into its archives but does not verify them when reading.
    """
    if path.exists() and not path.is_file():
        return f"is {'a folder' if path.is_dir() else 'not a regular file'}"
    if (kind := foreign(path)) is not None:
        return f"is {kind}"
    if not is_zip(path):
        return None  # torch's legacy format, safetensors, or no weights at all
    with zipfile.ZipFile(path) as archive:
        if (kind := foreign_archive(archive.namelist())) is not None:
            return f"is {kind}"
        if expands(archive, path.stat().st_size):
            return "damaged, unpacks to far more than its size"
        broken = archive.testzip()
    return None if broken is None else f"damaged ({broken} in it does not match its checksum)"


def _more_than_weights(path: Path, error: pickle.UnpicklingError) -> str:
    """Say why torch refused a file, with a remedy."""
    classes = _classes(path, error)
    if not classes:
        return "contains more than weights, or is not a torch file: not loaded"
    if _holds_modules(path):
        return f"contains more than weights, a whole pickled model ({classes[0]}): not loaded; {STATE_DICT}"
    return (
        f"contains more than weights, or is not a torch file ({listed(classes, count=3)}): not "
        "loaded; save only the state dict where the file was made"
    )


def _classes(path: Path, error: pickle.UnpicklingError) -> list[str]:
    """Find names that only a full, unsafe load would look up; nothing is loaded."""
    first = re.findall(r"GLOBAL ([\w.]+)", str(error))[:1]
    try:
        with path.open("rb") as file:
            others = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except (ValueError, RuntimeError, OSError, pickle.UnpicklingError):  # legacy format
        others = []
    return [*first, *(name for name in others if name not in first)]


def _holds_modules(path: Path) -> bool:
    with path.open("rb") as file:
        return b"torch.nn.modules." in file.read(PICKLE_BYTES)


def state_bytes(weights: Mapping[str, torch.Tensor]) -> bytes:
    """Serialize a state dict."""
    buffer = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in weights.items()}, buffer)
    return buffer.getvalue()


def weights_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """Return a digest that identifies a state dict."""
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def state_of(content: bytes) -> dict[str, torch.Tensor]:
    """Inverse of `state_bytes`."""
    weights: dict[str, torch.Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return weights
