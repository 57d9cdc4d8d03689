"""A network with one group at another width or depth; squeeze-and-excite follows its rule."""

from __future__ import annotations

from dataclasses import replace

from netadapt.narrowing.depth import as_deep_as, depth_groups, shortened
from netadapt.narrowing.groups import Group, width_groups
from netadapt.narrowing.widths import Widths
from search_spaces.channels import excited_channels
from search_spaces.errors import InputError
from search_spaces.heads.specs import DenseHead, HeadSpec, LRASPPHead, RASPPHead, SSDLiteHead
from search_spaces.spec import ArchSpec, BlockSpec
from search_spaces.squeeze_rules import SqueezeRule, squeeze_rules

Head = HeadSpec | DenseHead


def narrowed(spec: ArchSpec, group: Group, width: int, *, seed: ArchSpec | None = None) -> ArchSpec:
    """Narrow one group.

    >>> from netadapt.narrowing.groups import width_groups
    >>> from search_spaces.references import mobilenet_v3_large
    >>> spec = mobilenet_v3_large()
    >>> last = next(g for g in width_groups(spec) if g.name == "block 14 expansion")
    >>> block = narrowed(spec, last, 480).blocks[14]
    >>> block.expand, block.se
    (480, 120)

    Args:
        spec: The network.
        group: One of its groups.
        width: The group's new width.
        seed: The network whose squeeze-and-excite rules apply; `spec` by default. With NetAdapt's seed the
            result depends on the widths alone, not on the steps that led to them.

    Raises:
        InputError: The width is below 1 or above the group's own.
    """
    if not group.least <= width <= group.width:
        raise InputError(
            f"{group.name}: width must be in {group.least}..{group.width}, got {width}: "
            "a group can only be narrowed"
        )
    return resized(spec, group, width, seed=seed)


def resized(spec: ArchSpec, group: Group, width: int, *, seed: ArchSpec | None = None) -> ArchSpec:
    """Set a group to any width, also a larger one; see `narrowed`. Depth can only be reduced."""
    if group.kind == "depth":
        return shortened(spec, group, width)
    rules = squeeze_rules(as_deep_as(seed or spec, spec))
    stem = replace(spec.stem, out=width) if group.stem else spec.stem
    blocks, cin = [], stem.out
    for index, block in enumerate(spec.blocks):
        member = group if index in group.blocks else None
        blocks.append(_resized_block(block, member, width, cin=cin, rule=rules[index]))
        cin = blocks[-1].out
    return replace(
        spec, stem=stem, blocks=tuple(blocks), head=_resized_head(spec.head, group, width)
    )


def _resized_head(head: Head, group: Group, width: int) -> Head:
    if group.kind == "head conv":
        return replace(head, conv=width)
    match head:
        case HeadSpec() if group.kind == "head hidden":
            return replace(head, hidden=width)
        case LRASPPHead() | RASPPHead() if group.kind == "head filters":
            return replace(head, filters=width)
        case SSDLiteHead() if group.kind in ("extra inner", "extra out"):
            extras, old = list(head.extras), head.extras[group.extra]
            inner = group.kind == "extra inner"
            extras[group.extra] = replace(old, inner=width) if inner else replace(old, out=width)
            return replace(head, extras=tuple(extras))
        case _:
            return head


def _resized_block(
    block: BlockSpec, group: Group | None, width: int, *, cin: int, rule: SqueezeRule | None
) -> BlockSpec:
    expand = width if group and group.kind == "expansion" else block.expand
    out = width if group and group.kind == "bottleneck" else block.out
    se = rule(cin, excited_channels(block, cin=cin, expand=expand, out=out)) if rule else 0
    return replace(block, expand=expand, out=out, se=se)


def narrowest(
    spec: ArchSpec, widths: Widths, *, include_stem_and_head: bool = False, depth: bool = False
) -> ArchSpec:
    """Narrow every group to the smallest allowed width: no target below its latency can be reached.

    Args:
        spec: The network.
        widths: The allowed widths.
        include_stem_and_head: See `width_groups`.
        depth: Whether to drop all residual blocks too.
    """
    while depth and (stages := depth_groups(spec)):
        spec = shortened(spec, stages[0], stages[0].least)
    seed = spec
    for index in range(len(width_groups(seed, include_stem_and_head=include_stem_and_head))):
        group = width_groups(spec, include_stem_and_head=include_stem_and_head)[index]
        below = widths.below(group.width)
        if below:
            spec = narrowed(spec, group, below[0], seed=seed)
    return spec
