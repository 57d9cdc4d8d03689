"""Shorter stages: a network without the last residual blocks of a stage.

The first block of a stage sets its width and stays; the blocks after it add to its output, so the network
computes without them what it did, less what they added. The stem's own stage has residual blocks only.
"""

from __future__ import annotations

from dataclasses import replace

from netadapt.narrowing.groups import Group
from search_spaces.channels import stage_blocks
from search_spaces.errors import InputError
from search_spaces.heads.taps import taps
from search_spaces.spec import ArchSpec


def depth_groups(spec: ArchSpec) -> list[Group]:
    """List the stages that have residual blocks, each with its number of blocks as width.

    A stage stays whole if the head reads a map inside one of its residual blocks: without the block it
    would read another map, which its weights do not fit.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> [(group.name, group.width) for group in depth_groups(mobilenet_v3_large())][:3]
    [('stem and block 0 depth', 1), ('blocks 1-2 depth', 2), ('blocks 3-5 depth', 3)]
    """
    groups = [
        Group("depth", blocks, len(blocks), stem=index == 0)
        for index, blocks in enumerate(stage_blocks(spec))
    ]
    tapped = {tap.block for tap in taps(spec)}
    return [
        group
        for group in groups
        if group.width > group.least and tapped.isdisjoint(group.blocks[group.least :])
    ]


def shortened(spec: ArchSpec, group: Group, depth: int) -> ArchSpec:
    """Keep the first `depth` blocks of a stage.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> spec = mobilenet_v3_large()
    >>> stage = next(group for group in depth_groups(spec) if group.name == "blocks 3-5 depth")
    >>> shortened(spec, stage, 2).blocks == spec.blocks[:5] + spec.blocks[6:]
    True
    """
    dropped = group.blocks[depth:]
    blocks = tuple(block for index, block in enumerate(spec.blocks) if index not in dropped)
    return replace(spec, blocks=blocks)


def kept_blocks(parent: ArchSpec, child: ArchSpec) -> tuple[int, ...]:
    """Return which of the parent's blocks each block of a child is: the first ones of every stage.

    >>> from search_spaces import REFERENCES
    >>> parent = REFERENCES["mobilenet_v2"]()
    >>> blocks = tuple(block for index, block in enumerate(parent.blocks) if index not in (2, 5))
    >>> kept_blocks(parent, replace(parent, blocks=blocks))[:5]
    (0, 1, 3, 4, 6)

    Raises:
        InputError: The child has other stages, or a stage of it is longer.
    """
    ours, theirs = stage_blocks(child), stage_blocks(parent)
    if len(ours) != len(theirs):
        raise InputError(f"the child has {len(ours)} stages, its parent {len(theirs)}")
    for index, (few, many) in enumerate(zip(ours, theirs, strict=True)):
        if len(few) > len(many):
            raise InputError(
                f"stage {index} of the child has {len(few)} blocks, its parent's {len(many)}"
            )
    return tuple(
        block for few, many in zip(ours, theirs, strict=True) for block in many[: len(few)]
    )


def as_deep_as(seed: ArchSpec, spec: ArchSpec) -> ArchSpec:
    """Return the seed without the blocks that `spec` has dropped, so that their blocks correspond.

    Raises:
        InputError: See `kept_blocks`.
    """
    return replace(seed, blocks=tuple(seed.blocks[index] for index in kept_blocks(seed, spec)))
