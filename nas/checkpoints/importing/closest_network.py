"""Find the published network that a file's weights fit best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from nas.checkpoints.importing.torchvision_networks import HEADS, torchvision_network
from search_spaces import REFERENCES, ArchSpec, InputError, count
from search_spaces.channels import channel_counts, class_tensors, tensor_spaces
from search_spaces.network import Network
from search_spaces.references import Convention
from search_spaces.torchvision_keys import torchvision_names

WIDTHS = (1.0, *(number / 20 for number in range(2, 41) if number != 20))
CONVENTIONS: tuple[Convention, ...] = ("torchvision", "paper")
NEAR = 0.9
"""Fraction of names and shapes that must agree."""

BUILT = 3
"""Number of classifiers compared layer by layer: those of the most similar size."""

_COUNTED_NOT = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Closest:
    """A published network, and how well the weights fit it.

    Attributes:
        options: Command-line options that select it.
        matching: Number of weights with matching name and shape.
    """

    options: str
    matching: int


def skeleton(spec: ArchSpec) -> dict[str, Tensor]:
    """Return names and shapes of a network's weights, without allocating memory."""
    with torch.device("meta"):
        return dict(Network(spec).state_dict())


def is_ours(found: Mapping[str, Tensor]) -> bool:
    """Return whether the names are our own."""
    return "stem.0.weight" in found


@lru_cache(maxsize=8)
def expected(spec: ArchSpec, *, ours: bool) -> Mapping[str, Tensor]:
    """Return names and shapes of a network's weights, as in a file.

    Args:
        spec: The network.
        ours: Whether the file uses our names, not torchvision's.

    Raises:
        InputError: torchvision has no class for the network.
    """
    weights = skeleton(spec)
    names = {name: name for name in weights} if ours else torchvision_names(weights, spec)
    return {names[name]: tensor for name, tensor in weights.items()}


def matching(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> int:
    """Count the wanted weights that are found with the right shape."""
    return sum(name in found and found[name].shape == like.shape for name, like in wanted.items())


def closest(found: Mapping[str, Tensor]) -> Closest | None:
    """Return the published network that agrees best with a file's names and shapes; None if none does."""
    size = _size(found)
    by_size = sorted(_candidates(found), key=lambda it: abs(_features_size(it[1]) - size))
    best, share = None, NEAR
    for options, spec in [*by_size[:BUILT], *_dense_candidates()]:
        try:
            wanted = expected(spec, ours=is_ours(found))
        except InputError:
            continue
        agreeing = matching(found, wanted)
        if agreeing / max(len(wanted), len(found)) > share:
            best, share = Closest(options, agreeing), agreeing / max(len(wanted), len(found))
    return best


def _candidates(found: Mapping[str, Tensor]) -> Iterator[tuple[str, ArchSpec]]:
    """Yield the published networks with the same stem, at any width, without duplicates."""
    first = next((t for t in found.values() if t.ndim == 4 and t.shape[1] == 3), None)
    if first is None:
        return
    seen: set[ArchSpec] = set()
    for name, reference in REFERENCES.items():
        for width in WIDTHS:
            for convention in CONVENTIONS:
                spec = reference(width=width, convention=convention)
                if spec.stem.out != len(first) or spec in seen:
                    continue
                seen.add(spec)
                at = "" if width == 1.0 else f" --width {width:g}"
                by = "" if convention == CONVENTIONS[0] else f" --convention {convention}"
                yield f"--arch {name}{at}{by}", spec


def _dense_candidates() -> Iterator[tuple[str, ArchSpec]]:
    """Yield torchvision's detector and segmentation network."""
    for name in HEADS:
        spec = torchvision_network(name)
        assert spec is not None
        yield f"--arch {name}", spec


def _size(found: Mapping[str, Tensor]) -> int:
    """Count the parameters in a file, without the last layer's."""
    learnt = {name: t for name, t in found.items() if not name.endswith(_COUNTED_NOT)}
    last = [name for name in learnt if "classifier" in name][-2:]
    return sum(tensor.numel() for name, tensor in learnt.items() if name not in last)


def _features_size(spec: ArchSpec) -> int:
    """Count a network's parameters, without the last layer's."""
    spaces, sizes = tensor_spaces(spec), channel_counts(spec)
    last = (prod(sizes[space] for space in spaces[name]) for name in class_tensors(spec))
    return count(spec).params - sum(last)
