"""Files of torch and safetensors, read so that nothing in them can run."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from search_spaces import InputError


def read_torch(path: Path, *, wanted: str) -> dict[str, Any]:
    """The mapping in a torch file; only containers, numbers and tensors are loaded.

    Raises:
        InputError: No such file, one that holds code, a damaged one, or no mapping; the message ends
            with what is `wanted`.
    """
    _require_whole(path, wanted)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give {wanted}") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds more than weights, or is no torch file: not loaded; give {wanted}"
        ) from error
    except Exception as error:
        raise InputError(f"{path}: damaged, or not a torch file: give {wanted}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}: give {wanted}")
    return content


def _require_whole(path: Path, wanted: str) -> None:
    """Check the check sums that torch writes into its archives, and does not look at when it reads them."""
    try:
        if not path.read_bytes().startswith(b"PK"):
            return  # of an older form, or no torch file at all
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give {wanted}") from error
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged ({error}): give {wanted}") from error
    if broken is not None:
        raise InputError(f"{path}: damaged ({broken} in it is not what was written): give {wanted}")


def state_bytes(weights: Mapping[str, torch.Tensor]) -> bytes:
    """A state dict as the content of a file."""
    buffer = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in weights.items()}, buffer)
    return buffer.getvalue()


def state_of(content: bytes) -> dict[str, torch.Tensor]:
    """The state dict that `state_bytes` gave."""
    weights: dict[str, torch.Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return weights


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Weights by name, from a torch checkpoint or a .safetensors file.

    A checkpoint may hold them under `state_dict` or `model`, and each name may begin with `module.`, as
    a data-parallel training leaves it.

    Raises:
        InputError: See `read_torch`; or the file holds no tensors.
    """
    wanted = "a state dict: .pth, .pt or .safetensors"
    content = (
        _read_safetensors(path)
        if path.suffix == ".safetensors"
        else read_torch(path, wanted=wanted)
    )
    if str(content.get("format")).startswith("mobile-nas seed"):
        raise InputError(f"{path}: is a seed already, to be used as it is: give {wanted}")
    for key in ("state_dict", "model"):
        if isinstance(content.get(key), dict):
            content = content[key]
    weights = {
        name.removeprefix("module."): tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }
    if not weights:
        raise InputError(f"{path}: holds no weights: give {wanted}")
    return weights


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(load_file(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: give a .safetensors file") from error
    except SafetensorError as error:
        raise InputError(f"{path}: damaged, or not a safetensors file: {error}") from error
