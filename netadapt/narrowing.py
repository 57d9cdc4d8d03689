"""A network with one of its widths changed, squeeze-and-excite following its rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from netadapt.channels import channels, excited
from netadapt.groups import Group
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec, BlockSpec, to_dict
from search_spaces.widths import make_divisible

SqueezeRule = Callable[[int, int], int]
"""From a block's input channels and those that are scaled to the channels squeezed to."""


def narrowed(spec: ArchSpec, group: Group, width: int, *, seed: ArchSpec | None = None) -> ArchSpec:
    """The network with a group at another width.

    >>> from netadapt.groups import width_groups
    >>> from search_spaces.references import mobilenet_v3_large
    >>> spec = mobilenet_v3_large()
    >>> last = next(g for g in width_groups(spec) if g.name == "block 14 expansion")
    >>> block = narrowed(spec, last, 480).blocks[14]
    >>> block.expand, block.se
    (480, 120)

    Args:
        spec: The network.
        group: One of its groups.
        width: The group's channels then.
        seed: The network that NetAdapt began with, whose squeeze-and-excite tells the rule; `spec` by
            default. With it the result depends on the widths alone, and not on the steps to them.

    Raises:
        InputError: The width is below 1 or above the group's own.
    """
    if not 1 <= width <= group.width:
        raise InputError(
            f"{group.name}: width must be in 1..{group.width}, got {width}: only narrower ones are"
        )
    return resized(spec, group, width, seed=seed)


def resized(spec: ArchSpec, group: Group, width: int, *, seed: ArchSpec | None = None) -> ArchSpec:
    """The network with a group at any other width; for the rest see `narrowed`."""
    rules = squeeze_rules(seed or spec)
    stem = replace(spec.stem, out=width) if group.stem else spec.stem
    head = spec.head
    if group.kind == "head conv":
        head = replace(head, conv=width)
    if group.kind == "head hidden":
        head = replace(head, hidden=width)
    blocks, cin = [], stem.out
    for index, block in enumerate(spec.blocks):
        member = group if index in group.blocks else None
        blocks.append(_resized_block(block, member, width, cin=cin, rule=rules[index]))
        cin = blocks[-1].out
    return replace(spec, stem=stem, blocks=tuple(blocks), head=head)


def _resized_block(
    block: BlockSpec, group: Group | None, width: int, *, cin: int, rule: SqueezeRule | None
) -> BlockSpec:
    expand = width if group and group.kind == "expansion" else block.expand
    out = width if group and group.kind == "bottleneck" else block.out
    se = rule(cin, excited(block, cin=cin, expand=expand, out=out)) if rule else 0
    return replace(block, expand=expand, out=out, se=se)


def squeeze_rules(spec: ArchSpec) -> tuple[SqueezeRule | None, ...]:
    """The rule of each block's squeeze-and-excite; None without one."""
    return tuple(
        squeeze_rule(block, cin) if block.se else None
        for block, cin in zip(spec.blocks, spec.widths()[:-1], strict=True)
    )


def squeeze_rule(block: BlockSpec, cin: int) -> SqueezeRule:
    """The rule that gives a block fed `cin` channels the squeeze-and-excite width that it has.

    MnasNet's or MobileNetV3's, where one of them does (its gate decides where both do); else the ratio
    to the scaled channels. None of them gives a narrower block more.
    """
    scaled = excited(block, cin=cin, expand=block.expand, out=block.out)
    published = (_mnasnet_rule, _mobilenetv3_rule)
    for rule in published if block.gate == "sigmoid" else reversed(published):
        if rule(cin, scaled) == block.se:
            return rule
    return lambda _, channels: max(1, round(channels * block.se / scaled))


def _mnasnet_rule(cin: int, scaled: int) -> int:  # noqa: ARG001
    return max(1, cin // 4)


def _mobilenetv3_rule(cin: int, scaled: int) -> int:  # noqa: ARG001
    return make_divisible(scaled // 4)


def check_narrowing(parent: ArchSpec, child: ArchSpec) -> None:
    """Check that the networks differ in widths alone, and that the child's are no larger.

    Only squeeze-and-excite may be wider: it follows a rule, which a caller may change.

    Raises:
        InputError: It is not so; says where.
    """
    if _shape(child) != _shape(parent):
        raise InputError(
            f"{_first_difference(parent, child)} is not the parent's: only its widths may differ"
        )
    sizes = channels(parent)
    for space, size in channels(child).items():
        if size > sizes[space] and not space.endswith("squeeze"):
            raise InputError(
                f"{space}: {size} channels, the parent has {sizes[space]}: only narrower ones inherit"
            )


_WIDTHS = ("out", "expand", "se", "conv", "hidden")


def _shape(spec: ArchSpec) -> dict[str, Any]:
    """All of a network by part, but for its widths; of them, whether they are there."""
    data = to_dict(spec)
    blocks = {f"block {index}": block for index, block in enumerate(data.pop("blocks"))}
    parts = data | blocks
    for part in parts.values():
        if isinstance(part, dict):
            part.update({key: part[key] > 0 for key in _WIDTHS if key in part})
    return parts


def _first_difference(parent: ArchSpec, child: ArchSpec) -> str:
    ours, theirs = _shape(parent), _shape(child)
    return next(part for part in ours | theirs if ours.get(part) != theirs.get(part))
