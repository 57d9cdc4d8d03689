"""Transfer weights from a parent to the network that a step makes of it."""

from __future__ import annotations

import torch
from torch import Tensor

from netadapt.channel_selection import ChannelOrder, ChannelSelection, Weights
from netadapt.sub_networks import sub_network
from netadapt.weights import grow, inherit
from search_spaces.channels import channel_counts
from search_spaces.spec import ArchSpec


def transfer(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    selection: ChannelSelection | ChannelOrder = "first",
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the child's state dict: `inherit` where it is narrower, `grow` where wider than its parent.

    Where it has fewer blocks, it is that of a `sub_network`.
    """
    if len(child.blocks) < len(parent.blocks):
        return sub_network(parent, weights, child, order=selection, generator=generator)
    before = channel_counts(parent)
    wider = any(
        size > before[space]
        for space, size in channel_counts(child).items()
        if not space.endswith("squeeze")
    )
    if wider:
        return grow(parent, weights, child, generator=generator)
    return inherit(parent, weights, child, selection=selection, generator=generator)
