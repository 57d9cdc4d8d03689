"""Find the weights in checkpoints of other programs, and whether they are averaged."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from nas.checkpoints.file_kinds import head_of, is_safetensors, is_zip
from nas.checkpoints.torch_files import read_torch, require_weights
from search_spaces import InputError

WANTED = "a state dict: .pth, .pt or .safetensors"

DEEPEST = 8
"""Maximum depth of nested mappings that is searched."""

_WRAPPERS = re.compile(
    r"(module|_orig_mod|model|_model|net|network|_forward_module|student|backbone|encoder|"
    r"ema|ema_model|model_ema|ema_module|averaged_model|swa_model|shadow|teacher)\."
)
"""Prefixes of names from data-parallel training, torch.compile, Lightning and averaging."""

_AVERAGED = re.compile(r"(?i:(^|[^a-z])(ema|averaged?|swa|shadow|polyak)([^a-z]|$))|[a-z](Ema|EMA)")
_NO_WEIGHTS = re.compile(
    r"(\w*_)?(optim|optimizers?|schedulers?|scaler|callbacks|loops|metrics)(_\w*)?", re.IGNORECASE
)
_FIRST_NAMES = ("features.0.0.weight", "stem.0.weight", "layers.14.weight", "conv_stem.weight")
"""Names that occur once in a known network: what precedes one of them is the prefix of all its names."""

_FIRST_DENSE_NAMES = ("backbone.features.0.0.0.weight", "backbone.0.0.weight")
"""The same of torchvision's SSDLite and segmentation networks, whose `backbone.` is no wrapper's."""

_LEFT_BY_PROFILERS = ("total_ops", "total_params")


@dataclass(frozen=True)
class Weights:
    """One set of weights in a file.

    Attributes:
        where: Its key and prefix in the file, for people; may be empty.
        averaged: Whether it is a moving average of the trained weights.
        tensors: By name, without the prefix.
    """

    where: str
    averaged: bool
    tensors: dict[str, torch.Tensor]


def read_weights(path: Path) -> list[Weights]:
    """Read every set of weights in a torch checkpoint or a .safetensors file.

    A checkpoint may hold several, at any keys. Names may have any nesting of `module.`, `_orig_mod.`,
    `model.` and similar prefixes.

    Raises:
        InputError: See `read_torch`; or the file contains no weights, or is one of our checkpoints.
    """
    content = _read(path)
    if str(content.get("format")).startswith("mobile-nas seed"):
        raise InputError(
            f"{path}: is a mobile-nas checkpoint already, use it directly; or give {WANTED}"
        )
    found = [
        weights
        for keys, tensors in _mappings(content, ())
        for weights in _by_prefix(".".join(keys), tensors)
    ]
    if not found:
        raise InputError(f"{path}: {_without_weights(content)}: give {WANTED}")
    return found


def _read(path: Path) -> dict[str, Any]:
    require_weights(path, wanted=WANTED)
    head = head_of(path)
    pickled = is_zip(path) or head.startswith(b"\x80")  # a safetensors file may begin with this too
    named = path.suffix.lower() == ".safetensors"
    if not is_safetensors(head) and (pickled or not named):
        return read_torch(path, wanted=WANTED)
    try:
        return dict(load_file(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: give a .safetensors file") from error
    except SafetensorError as error:
        raise InputError(f"{path}: damaged, or not a safetensors file: {error}") from error
    except Exception as error:  # a header with an unknown type, for instance
        raise InputError(f"{path}: damaged, or not a safetensors file: give {WANTED}") from error


def _mappings(
    content: Mapping[Any, Any], keys: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, torch.Tensor]]]:
    """Yield every mapping from names to tensors, with its keys."""
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor)
    }
    if tensors:
        yield keys, tensors
    for key, value in content.items():
        inner = (
            isinstance(value, Mapping) and isinstance(key, str) and not _NO_WEIGHTS.fullmatch(key)
        )
        if inner and len(keys) < DEEPEST and not _is_optimizer(value):
            yield from _mappings(value, (*keys, key))


def _is_optimizer(content: Mapping[Any, Any]) -> bool:
    return "param_groups" in content and "state" in content


def _by_prefix(where: str, tensors: Mapping[str, torch.Tensor]) -> Iterator[Weights]:
    """Yield the sets of weights in a mapping, grouped by prefix."""
    sets: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    counted: list[str] = []  # prefixes from torch.optim.swa_utils.AveragedModel
    own = _own_prefixes(tensors)
    for name, tensor in tensors.items():
        prefix, rest = _split(name, own)
        if rest == "n_averaged":
            counted.append(prefix)
        elif rest.rpartition(".")[2] not in _LEFT_BY_PROFILERS:
            sets[prefix][rest] = tensor
    for prefix, named in sets.items():
        at = ", ".join(part[:80] for part in (where, f"{prefix}*" if prefix else "") if part)
        averaged = any(_AVERAGED.search(part) for part in (*where.split("."), *prefix.split(".")))
        if any(tensor.ndim for tensor in named.values()):
            yield Weights(at, averaged or any(map(prefix.startswith, counted)), named)


def _own_prefixes(names: Collection[str]) -> list[str]:
    """Find prefixes of a known network's names, such as the attribute that a program keeps it in.

    >>> _own_prefixes(["mobilenet.features.0.0.weight", "criterion.weight"])
    ['mobilenet.']
    >>> _own_prefixes(["backbone.0.0.weight", "classifier.cbr.0.weight"])
    ['']
    """
    found = {
        name.removesuffix(first)
        for name in names
        for first in _FIRST_NAMES
        if name.endswith(f".{first}")
    } | {
        name.removesuffix(first)
        for name in names
        for first in _FIRST_DENSE_NAMES
        if f".{name}".endswith(f".{first}")
    }
    return sorted(found, key=len, reverse=True)


def _split(name: str, own: Sequence[str] = ()) -> tuple[str, str]:
    """Split a name into prefix and rest.

    >>> _split("_orig_mod.module.features.0.weight")
    ('_orig_mod.module.', 'features.0.weight')
    """
    for prefix in own:
        if name.startswith(prefix):
            return prefix, name.removeprefix(prefix)
    rest = name
    while match := _WRAPPERS.match(rest):
        rest = rest[match.end() :]
    return name.removesuffix(rest), rest


def _without_weights(content: Mapping[Any, Any]) -> str:
    """Say what a file without weights contains."""
    if not content:
        return "is empty, contains no weights"
    if _is_optimizer(content) or any(
        isinstance(value, Mapping) and _is_optimizer(value) for value in content.values()
    ):
        return "contains no weights, only an optimizer's state"
    keys = ", ".join(str(key)[:80] for key in list(content)[:3])
    return f"contains no weights (its keys are {keys})"
