"""Transfer weights from a trained network to any of its sub-networks.

A sub-network may lack residual layers and squeeze-and-excites, have smaller kernels and images, and be
narrower. Its kernels may also be larger: the parent's kernel is then the center, with zeros around it, so
that it computes the same until it is trained. With one order of channels for all sub-networks, a narrower
one's channels are among those of a wider one: they are nested, as in once-for-all networks (arXiv
1908.09791, section 3.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from netadapt.channel_selection import ChannelOrder, ChannelSelection, Weights
from netadapt.narrowing.depth import kept_blocks
from netadapt.weights import inherit, require_weights_of
from search_spaces.channels import tensor_spaces
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec, BlockSpec


def sub_network(
    parent: ArchSpec,
    weights: Weights,
    child: ArchSpec,
    *,
    order: ChannelSelection | ChannelOrder,
    kept: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the state dict of a sub-network.

    Batch norm's statistics are the parent's, and do not fit what is left of it: take them anew
    (`nas.training.batch_norm`) before the network is read.

    Args:
        parent: The network that `weights` belong to.
        weights: Its state dict.
        child: The sub-network.
        order: The parent's channels in every space, the most important one first (`channel_order`), or a
            rule that selects among those of the remaining blocks (`select_channels`).
        kept: Index of the parent's block that each of the child's blocks is; by default the first ones of
            every stage (`kept_blocks`).
        generator: Initializes what the parent has no weights for; see `inherit`.

    Raises:
        InputError: The child is not a sub-network, or the weights are not the parent's.
    """
    require_weights_of(parent, weights)
    kept = kept_blocks(parent, child) if kept is None else tuple(kept)
    thinned = _thinned(parent, child, kept)
    names = dict(_names(parent, thinned, kept))
    ours, theirs = tensor_spaces(thinned), tensor_spaces(parent)
    spaces = {
        space: parents
        for name, one in ours.items()
        for space, parents in zip(one, theirs[names[name]], strict=True)
    }
    remaining = {name: _centered(weights[names[name]], _kernel(thinned, name)) for name in ours}
    selection = (
        order
        if isinstance(order, str)
        else {space: order[parents] for space, parents in spaces.items()}
    )
    return inherit(thinned, remaining, child, selection=selection, generator=generator)


def _thinned(parent: ArchSpec, child: ArchSpec, kept: Sequence[int]) -> ArchSpec:
    """Return the child at the parent's widths."""
    if len(kept) != len(child.blocks):
        raise InputError(f"kept names {len(kept)} blocks, the child has {len(child.blocks)}")
    blocks = tuple(
        _thinned_block(block, parent.blocks[one])
        for block, one in zip(child.blocks, kept, strict=True)
    )
    return replace(parent, resolution=child.resolution, blocks=blocks)


def _thinned_block(block: BlockSpec, whole: BlockSpec) -> BlockSpec:
    if whole.se and not block.se:
        whole = replace(whole, se=0, gate="none")
    return replace(whole, kernel=block.kernel)


def _names(parent: ArchSpec, thinned: ArchSpec, kept: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Yield the name of every tensor of the thinned network, and its name in the parent."""
    names = list(tensor_spaces(parent))
    for name in tensor_spaces(thinned):
        if not name.startswith("blocks."):
            yield name, name
    for index, one in enumerate(kept):
        ours = [name for name in tensor_spaces(thinned) if name.startswith(f"blocks.{index}.")]
        theirs = [name for name in names if name.startswith(f"blocks.{one}.")]
        if parent.blocks[one].se and not thinned.blocks[index].se:
            theirs = [name for name in theirs if ".squeeze." not in name and ".excite." not in name]
        yield from zip(ours, theirs, strict=True)


def _kernel(spec: ArchSpec, name: str) -> int | None:
    """Return the side of the searched kernel that a tensor holds; None if it holds none."""
    parts = name.split(".")
    if parts[0] != "blocks" or parts[-2:] != ["0", "weight"]:
        return None
    block = spec.blocks[int(parts[1])]
    spatial = {"mbconv": "1", "sepconv": "0", "conv": "0"}[block.op]
    return block.kernel if parts[3] == spatial else None


def _centered(tensor: Tensor, kernel: int | None) -> Tensor:
    """Return the center of a kernel, or the kernel as the center of a larger one: (..., kernel, kernel)."""
    if kernel is None or tensor.shape[-1] == kernel:
        return tensor
    border = (kernel - tensor.shape[-1]) // 2  # negative to crop
    return functional.pad(tensor, (border, border, border, border))
