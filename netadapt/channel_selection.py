"""Which of its parent's channels a narrower network inherits.

MobileNetV3 truncates: the first channels stay (arXiv 1905.02244, section 4.2). NetAdapt itself keeps
the filters of the largest L2 norm (arXiv 1804.03230, section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from search_spaces.channels import channel_counts, tensor_spaces
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

ChannelSelection = Literal["first", "norm"]
"""Keep the first channels, or those whose filters have the largest L2 norm."""

ChannelOrder = Mapping[str, Tensor]
"""The indices of each channel space, the most important one first."""

Weights = Mapping[str, Tensor]
"""A network's state dict."""


def select_channels(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    selection: ChannelSelection | ChannelOrder = "first",
) -> dict[str, Tensor]:
    """Return, for each channel space, the indices of the parent's channels that the child inherits.

    Indices ascend. `weights` are the parent's; `child` is a narrowing of it.

    Raises:
        InputError: The selection is unknown.
    """
    if not isinstance(selection, str):
        sizes = channel_counts(child)
        return {space: order[: sizes[space]].sort().values for space, order in selection.items()}
    if selection not in get_args(ChannelSelection):
        raise InputError(
            f"selection must be {' or '.join(get_args(ChannelSelection))}, got {selection!r}"
        )
    sizes = channel_counts(child)
    if selection == "first":
        return {
            space: torch.arange(min(sizes[space], size))
            for space, size in channel_counts(parent).items()
        }
    # The image's channels have no filters: all of them stay.
    image = {"image": torch.arange(sizes["image"])}
    norms = _squared_norms(parent, weights)
    return image | {space: _largest(norm, sizes[space]) for space, norm in norms.items()}


def channel_order(parent: ArchSpec, weights: Weights) -> dict[str, Tensor]:
    """Return the order in which narrower networks keep a network's channels: by their filters' L2 norm.

    The image's channels and the classes keep their own order, and are all kept.

    Returns:
        The indices of each channel space, the most important one first.
    """
    fixed = {
        space: torch.arange(size)
        for space, size in channel_counts(parent).items()
        if space in ("image", "classes")
    }
    norms = _squared_norms(parent, weights)
    return {space: _descending(norm) for space, norm in norms.items()} | fixed


def _squared_norms(parent: ArchSpec, weights: Weights) -> dict[str, Tensor]:
    """Return, for each space, every channel's squared L2 norm over all filters that produce it.

    Where a residual ties several projections (and the stem), their filters count as one long filter. A
    depthwise filter follows the convolution before it, as in NetAdapt, and is not counted; neither are
    layers that only scale channels.
    """
    norms: dict[str, Tensor] = {}
    for name, spaces in tensor_spaces(parent).items():
        if len(spaces) == 2 and not name.endswith(".excite.weight"):
            squared = weights[name].float().square().flatten(1).sum(1).cpu()  # (channels,)
            norms[spaces[0]] = norms.get(spaces[0], 0) + squared
    return norms


def _descending(norms: Tensor) -> Tensor:
    # Stable, so that equal norms keep the first channels: `topk` leaves their order open.
    return torch.argsort(norms, descending=True, stable=True)


def _largest(norms: Tensor, count: int) -> Tensor:
    return _descending(norms)[:count].sort().values
