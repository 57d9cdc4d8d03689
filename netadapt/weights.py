"""The weights of a narrower network, cut out of its parent's; or of a wider one, around its parent's.

MobileNetV3's NetAdapt truncates (arXiv 1905.02244, section 4.2): the first channels stay. NetAdapt's own
keeps the filters of the largest L2 norm (arXiv 1804.03230, section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from netadapt.channels import channels, tensor_spaces
from netadapt.narrowing import check_narrowing
from search_spaces.errors import InputError
from search_spaces.network import Network, build
from search_spaces.spec import ArchSpec

Keep = Literal["first", "norm"]
"""Which channels stay: the first ones, or those whose filters have the largest L2 norm."""

Weights = Mapping[str, Tensor]
"""A network's state dict."""


def inherit(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    keep: Keep = "first",
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The child's state dict, from its parent's; any number of widths may be narrower.

    A removed channel goes everywhere: as filter, in batch norm, depthwise convolutions and
    squeeze-and-excite, among the next layers' inputs and in all that a residual ties. The child then
    computes what the parent does with these channels held at zero. Nothing is shared with `weights`.

    Args:
        parent: The network that `weights` are of.
        weights: Its state dict.
        child: The same network with narrower widths.
        keep: Which channels stay.
        generator: Draws what the parent has no weights for: the further channels of a
            squeeze-and-excite that became wider. A fresh one seeded 0 by default.

    Raises:
        InputError: The child is no narrowing of the parent, or the weights are not the parent's.
    """
    kept = kept_channels(parent, weights, child, keep=keep)
    inherited = {
        name: _selected(weights[name], [kept[space] for space in spaces])
        for name, spaces in tensor_spaces(parent).items()
    }
    if channels(child) == {space: len(indices) for space, indices in kept.items()}:
        return inherited
    return _completed(inherited, build(child, generator=generator).state_dict())


def grown(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """A wider child's state dict, which computes what its parent does.

    New channels are drawn as a fresh network's. What was there before gives them no weight at first, so
    they change nothing until they are trained.

    Args:
        parent: The network that `weights` are of.
        weights: Its state dict.
        child: The same network with wider widths.
        generator: Draws the new channels. A fresh one seeded 0 by default.

    Raises:
        InputError: The parent is no narrowing of the child, or the weights are not the parent's.
    """
    check_narrowing(child, parent)
    _check_weights(parent, weights)
    wider = build(child, generator=generator).state_dict()
    for name, spaces in tensor_spaces(parent).items():
        mine, theirs = wider[name].to(weights[name]), weights[name]
        both = tuple(map(slice, map(min, mine.shape, theirs.shape)))
        if len(spaces) == 2:  # (outputs, inputs, ...)
            mine[both[0]] = 0
        mine[both] = theirs[both]
        wider[name] = mine
    return wider


def passed_on(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    keep: Keep = "first",
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The child's state dict, whether it is narrower (`inherit`) or wider (`grown`) than its parent."""
    before = channels(parent)
    wider = any(
        size > before[space]
        for space, size in channels(child).items()
        if not space.endswith("squeeze")
    )
    if wider:
        return grown(parent, weights, child, generator=generator)
    return inherit(parent, weights, child, keep=keep, generator=generator)


def kept_channels(
    parent: ArchSpec, weights: Weights, child: ArchSpec, *, keep: Keep = "first"
) -> dict[str, Tensor]:
    """For each channel space, which of the parent's channels the child has, ascending.

    Raises:
        InputError: See `inherit`.
    """
    if keep not in get_args(Keep):
        raise InputError(f"keep must be {' or '.join(get_args(Keep))}, got {keep!r}")
    check_narrowing(parent, child)
    _check_weights(parent, weights)
    sizes = channels(child)
    if keep == "first":
        return {
            space: torch.arange(min(sizes[space], size)) for space, size in channels(parent).items()
        }
    # The image's channels have no filters: all of them stay.
    everything = {"image": torch.arange(sizes["image"])}
    norms = _squared_norms(parent, weights)
    return everything | {space: _largest(norm, sizes[space]) for space, norm in norms.items()}


def _squared_norms(parent: ArchSpec, weights: Weights) -> dict[str, Tensor]:
    """For each space, every channel's squared L2 norm over all filters that make it.

    Several projections (and the stem) make what a residual ties: their filters count as one long filter.
    A depthwise filter follows the convolution before it, as in NetAdapt, and counts nothing; nor does
    what only scales the channels.
    """
    norms: dict[str, Tensor] = {}
    for name, spaces in tensor_spaces(parent).items():
        if len(spaces) == 2 and not name.endswith(".excite.weight"):
            squared = weights[name].float().square().flatten(1).sum(1).cpu()  # (channels,)
            norms[spaces[0]] = norms.get(spaces[0], 0) + squared
    return norms


def _largest(norms: Tensor, count: int) -> Tensor:
    # Stable, so that equal norms keep the first: `topk` leaves open which.
    order = torch.argsort(norms, descending=True, stable=True)
    return order[:count].sort().values


def _selected(tensor: Tensor, kept: list[Tensor]) -> Tensor:
    """A copy with these entries of the leading dimensions."""
    selected = tensor.detach().clone()
    for dim, indices in enumerate(kept):
        if len(indices) < tensor.shape[dim]:
            selected = selected.index_select(dim, indices.to(tensor.device))
    return selected


def _completed(inherited: dict[str, Tensor], drawn: Weights) -> dict[str, Tensor]:
    """The inherited tensors, in the leading part of drawn ones where those are larger."""
    completed: dict[str, Tensor] = {}
    for name, tensor in inherited.items():
        completed[name] = drawn[name].to(tensor)
        completed[name][tuple(slice(size) for size in tensor.shape)] = tensor
    return completed


def _check_weights(spec: ArchSpec, weights: Weights) -> None:
    with torch.device("meta"):  # names and shapes alone
        wanted = Network(spec).state_dict()
    for name in sorted(wanted.keys() ^ weights.keys()):
        problem = "are missing" if name in wanted else "are of another network"
        raise InputError(f"weights: {name} {problem}: give the parent's own state dict")
    for name, tensor in wanted.items():
        if weights[name].shape != tensor.shape:
            ours, theirs = tuple(tensor.shape), tuple(weights[name].shape)
            raise InputError(
                f"weights: {name} is {theirs}, the parent's is {ours}: give its own state dict"
            )
