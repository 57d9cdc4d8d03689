"""Inherit a candidate's initial weights from a similar trained network.

Both networks belong to one space. Layers are matched by their place in it and copied where shapes overlap.
`netadapt.weights.inherit` is a stricter variant that only narrows networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from search_spaces import ArchSpec, BlockSpec, HeadSpec, InputError, SearchSpace, Tokens

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Places = Sequence[tuple[object, ...]]
"""Each block's place, by which it is matched: its stage and position, from `FactorizedSpace.places`."""

PRETRAINED = (
    "start from pretrained weights without a search: nas import, then nas train --new-classifier, "
    "then netadapt"
)
"""Advice for weights of networks that are in none of our spaces."""

Layer = tuple[object, ...]
"""Identifies a layer across networks."""


def overlapping(
    parent: ArchSpec,
    weights: Mapping[str, Tensor],
    child: ArchSpec,
    *,
    parent_places: Places,
    child_places: Places,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Return the child's complete state dict, with the parent's weights wherever the two overlap.

    A convolution, its batch norm or a squeeze-and-excite is copied from the parent's layer of the same
    stage, position, `op` and role. Nothing is copied between different `op`s, whose inner channels differ
    in meaning. Everything without a counterpart is initialized as by `build`.

    Within a tensor, the leading channels and the center of the kernel are copied. Additional inputs of a
    copied filter, and the border of a larger kernel, are zero; additional filters are drawn. New linear
    residual branches start at zero, and so do the additional channels of a wider one. So a child that is
    the parent but wider, with larger kernels, or with more layers in stages of linear branches with
    `identity` skips computes the same function in eval mode, and all of it can learn.

    A squeeze-and-excite that the parent lacks cannot start as the identity (its gate ends at 1): a
    drawn one roughly halves its input.

    Args:
        parent: The network that `weights` belong to.
        weights: Its state dict; nothing is shared with it.
        child: The network to initialize.
        parent_places: One for each of the parent's blocks.
        child_places: One for each of the child's blocks.
        generator: Draws what is not copied; advances equally for every parent.

    Returns:
        The tensors by name, in the network's order, on the CPU.
    """
    theirs, ours = layers(parent, parent_places), layers(child, child_places)
    return copied(weights, theirs, child, ours, generator=generator)


def copied(
    weights: Mapping[str, Tensor],
    theirs: Mapping[Layer, str],
    child: ArchSpec,
    ours: Mapping[Layer, str],
    *,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Return the child's complete state dict, as `overlapping` does, from layers that are matched already.

    Args:
        weights: The parent's; what is missing is drawn.
        theirs: The parent's layers, by what the child calls them; see `layers`.
        child: The network to initialize.
        ours: Its layers.
        generator: Draws what is not copied.
    """
    from nas.training.optimization.optimizer import zero_residual_branches
    from search_spaces.network import build

    network = build(child, generator=generator)
    zero_residual_branches(network)
    state = dict(network.state_dict())
    for layer, prefix in ours.items():
        if layer in theirs:
            for name in [name for name in state if name.startswith(prefix)]:
                source = theirs[layer] + name.removeprefix(prefix)
                if source in weights:
                    state[name] = _overlapped(state[name], weights[source])
    return state


def layers(spec: ArchSpec, places: Places) -> dict[Layer, str]:
    """Return the name prefix of each layer's tensors."""
    layers: dict[Layer, str] = {("stem",): "stem."}
    for index, (block, place) in enumerate(zip(spec.blocks, places, strict=True)):
        for at, role in enumerate(_roles(block)):
            layers[(*place, block.op, role)] = f"blocks.{index}.layers.{at}."
    head = spec.head
    # Behind other layers, the classifier would get other features.
    behind = head.hidden > 0 if isinstance(head, HeadSpec) else head.kind
    layers["head", head.conv > 0, behind] = "head."
    return layers


def _roles(block: BlockSpec) -> list[str]:
    """Return the role of each of a block's layers, in order."""
    first = {
        "mbconv": ["expansion", "depthwise"],
        "sepconv": ["depthwise"],
        "conv": ["convolution"],
    }
    excite = ["squeeze-and-excite"] if block.se else []
    return first[block.op] + excite + (["projection"] if block.op != "conv" else [])


def _overlapped(drawn: Tensor, old: Tensor) -> Tensor:
    """Return `drawn` (out, in, kernel, kernel), or fewer of these dimensions, with `old` copied into it."""
    shared = [min(sizes) for sizes in zip(drawn.shape, old.shape, strict=True)]
    inside = window(drawn.shape, shared)
    overlapped = drawn.clone()
    overlapped[inside[:1]] = 0
    overlapped[inside] = old[window(old.shape, shared)]
    return overlapped


def window(shape: Sequence[int], shared: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices of the shared part: leading channels, and the center of kernels."""
    starts = [
        (size - part) // 2 if dim >= 2 else 0
        for dim, (size, part) in enumerate(zip(shape, shared, strict=True))
    ]
    return tuple(slice(start, start + part) for start, part in zip(starts, shared, strict=True))


def most_similar(tokens: Tokens, others: Sequence[Tokens]) -> int | None:
    """Return the index of the sequence that differs in the fewest decisions; ties go to the latest.

    None if there are none.

    >>> most_similar((0, 1, 2), [(0, 1, 1), (3, 1, 2), (3, 3, 3)])
    1
    """

    def rank(index: int) -> tuple[int, int]:
        pairs = zip(tokens, others[index], strict=True)
        return sum(ours != theirs for ours, theirs in pairs), -index

    return min(range(len(others)), key=rank, default=None)


def source_tokens(space: SearchSpace, spec: ArchSpec, *, classes: int) -> Tokens:
    """Return the tokens of a network to inherit weights from.

    Args:
        space: The space that is searched.
        spec: The network, for example of a checkpoint.
        classes: Number of classes of the space's networks.

    Raises:
        InputError: The network has another number of classes, or is not in the space.
    """
    if spec.head.classes != classes:
        raise InputError(
            f"the warm start's network has {spec.head.classes} classes, the search has {classes}: "
            f"give one that was trained on the same classes, or {PRETRAINED}"
        )
    try:
        return space.encode(spec)
    except InputError as error:
        raise InputError(
            f"the warm start's network is {error}: give one found in the same space, or {PRETRAINED}"
        ) from error
