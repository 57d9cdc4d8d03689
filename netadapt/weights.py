"""Weights of a narrower or a wider child, from its parent's."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from netadapt.channel_selection import ChannelOrder, ChannelSelection, Weights, select_channels
from netadapt.narrowing.check import check_narrowing
from search_spaces.channels import channel_counts, tensor_spaces
from search_spaces.errors import InputError
from search_spaces.network import Network, build
from search_spaces.spec import ArchSpec


def inherit(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    selection: ChannelSelection | ChannelOrder = "first",
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the state dict of a narrower child; any number of widths may be narrower.

    A removed channel is removed everywhere: its filter, batch norm, depthwise and squeeze-and-excite
    weights, the inputs of the next layers and all that a residual ties. The child computes what the parent
    does with these channels held at zero. No memory is shared with `weights`.

    Args:
        parent: The network that `weights` belong to.
        weights: Its state dict.
        child: The same network with narrower widths.
        selection: Which of the parent's channels stay, or their order in every space.
        generator: Initializes what the parent has no weights for: the extra channels of a
            squeeze-and-excite that became wider. A new one seeded 0 by default.

    Raises:
        InputError: The child is not a narrowing of the parent, or the weights are not the parent's.
    """
    check_narrowing(parent, child)
    require_weights_of(parent, weights)
    selected = select_channels(parent, weights, child, selection=selection)
    inherited = {
        name: _sliced(weights[name], [selected[space] for space in spaces])
        for name, spaces in tensor_spaces(parent).items()
    }
    if channel_counts(child) == {space: len(indices) for space, indices in selected.items()}:
        return inherited
    return _embedded(inherited, build(child, generator=generator).state_dict())


def grow(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the state dict of a wider child that computes what its parent does.

    New channels are initialized as in a new network. Existing channels read them with weight zero, so
    they change nothing until they are trained.

    Args:
        parent: The network that `weights` belong to.
        weights: Its state dict.
        child: The same network with wider widths.
        generator: Initializes the new channels. A new one seeded 0 by default.

    Raises:
        InputError: The parent is not a narrowing of the child, or the weights are not the parent's.
    """
    check_narrowing(child, parent)
    require_weights_of(parent, weights)
    grown = build(child, generator=generator).state_dict()
    for name, spaces in tensor_spaces(parent).items():
        ours, theirs = grown[name].to(weights[name]), weights[name]
        shared = tuple(map(slice, map(min, ours.shape, theirs.shape)))
        if len(spaces) == 2:  # (outputs, inputs, ...)
            ours[shared[0]] = 0
        ours[shared] = theirs[shared]
        grown[name] = ours
    return grown


def _sliced(tensor: Tensor, selected: list[Tensor]) -> Tensor:
    """Return a copy with the selected indices of each leading dimension."""
    copy = tensor.detach().clone()
    for dim, indices in enumerate(selected):
        if len(indices) < tensor.shape[dim]:
            copy = copy.index_select(dim, indices.to(tensor.device))
    return copy


def _embedded(inherited: dict[str, Tensor], initial: Weights) -> dict[str, Tensor]:
    """Copy each inherited tensor into the leading part of the initialized one."""
    embedded: dict[str, Tensor] = {}
    for name, tensor in inherited.items():
        embedded[name] = initial[name].to(tensor)
        embedded[name][tuple(slice(size) for size in tensor.shape)] = tensor
    return embedded


def require_weights_of(spec: ArchSpec, weights: Weights) -> None:
    """Check that a state dict is the network's.

    Raises:
        InputError: A tensor is missing, unknown or of another shape.
    """
    expected = _tensor_shapes(spec)
    for name in sorted(expected.keys() ^ weights.keys()):
        problem = "is missing" if name in expected else "belongs to another network"
        raise InputError(f"weights: {name} {problem}: pass the parent's own state dict")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            ours, theirs = tuple(shape), tuple(weights[name].shape)
            raise InputError(
                f"weights: {name} is {theirs}, the parent's is {ours}: pass the parent's own state dict"
            )


@lru_cache(maxsize=8)  # all proposals of a step have one parent
def _tensor_shapes(spec: ArchSpec) -> dict[str, torch.Size]:
    with torch.device("meta"):  # names and shapes only
        return {name: tensor.shape for name, tensor in Network(spec).state_dict().items()}
