"""Recover the rule that sets the width of a network's squeeze-and-excite."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.channels import excited_channels
from search_spaces.spec import ArchSpec, BlockSpec
from search_spaces.widths import make_divisible

SqueezeRule = Callable[[int, int], int]
"""From a block's input channels and its excited channels to the squeeze width."""


def squeeze_rules(spec: ArchSpec) -> tuple[SqueezeRule | None, ...]:
    """Return the rule of each block; None for a block without squeeze-and-excite."""
    return tuple(
        squeeze_rule(block, cin) if block.se else None
        for block, cin in zip(spec.blocks, spec.widths()[:-1], strict=True)
    )


def squeeze_rule(block: BlockSpec, cin: int) -> SqueezeRule:
    """Find the rule that yields a block's squeeze width from its `cin` input channels.

    Try MnasNet's and MobileNetV3's; the gate decides where both fit. Otherwise keep the ratio to the
    excited channels. No rule gives a narrower block a wider squeeze.
    """
    excited = excited_channels(block, cin=cin, expand=block.expand, out=block.out)
    published = (_mnasnet_rule, _mobilenetv3_rule)
    for rule in published if block.gate == "sigmoid" else reversed(published):
        if rule(cin, excited) == block.se:
            return rule
    return lambda _, channels: max(1, round(channels * block.se / excited))


def _mnasnet_rule(cin: int, excited: int) -> int:  # noqa: ARG001
    return max(1, cin // 4)


def _mobilenetv3_rule(cin: int, excited: int) -> int:  # noqa: ARG001
    return make_divisible(excited // 4)
