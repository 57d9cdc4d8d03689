"""Single changes of a network by name, for ablations: `relu`, `hswish@80`, `kernel@3`.

They are those of MobileNetV3's paper (arXiv 1905.02244, sections 5 and 6): its nonlinearities, its last
stage, its stem and its squeeze-and-excite, and the kernels and expansions that its search chooses among.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from search_spaces.channels import excited_channels
from search_spaces.errors import InputError
from search_spaces.improvements import (
    hswish_from,
    quarter_squeeze_excite,
    redesign_last_stage,
    resize_stem,
    restore_last_stage,
    unfuse_hswish,
    without_improvements,
)
from search_spaces.nearest import did_you_mean
from search_spaces.spec import ArchSpec, BlockSpec
from search_spaces.squeeze_rules import SqueezeRule, squeeze_rules
from search_spaces.widths import make_divisible


def relu_everywhere(spec: ArchSpec) -> ArchSpec:
    """Use ReLU in place of h-swish, also in the stem and the head."""
    return replace(hswish_from(spec, None), stem=replace(spec.stem, act="relu"))


def without_squeeze_excite(spec: ArchSpec) -> ArchSpec:
    """Remove every squeeze-and-excite."""
    return replace(spec, blocks=tuple(replace(one, se=0, gate="none") for one in spec.blocks))


def with_kernel(spec: ArchSpec, size: int) -> ArchSpec:
    """Give every block the same kernel.

    Raises:
        InputError: The size is even or not positive.
    """
    if size < 1 or size % 2 == 0:
        raise InputError(f"kernel@{size}: a kernel has an odd size: give 3, 5 or 7")
    return replace(spec, blocks=tuple(replace(one, kernel=size) for one in spec.blocks))


def with_expansion(spec: ArchSpec, ratio: int) -> ArchSpec:
    """Give every block that expands its input the same ratio to it; squeeze-and-excites keep their rule.

    Raises:
        InputError: The ratio is below 1.
    """
    if ratio < 1:
        raise InputError(f"expansion@{ratio}: give a ratio of 1 or more, such as 3 or 6")
    cins = spec.widths()[:-1]
    return replace(
        spec,
        blocks=tuple(
            _expanded(one, cin, ratio=ratio, rule=rule) if one.expand else one
            for one, cin, rule in zip(spec.blocks, cins, squeeze_rules(spec), strict=True)
        ),
    )


def _expanded(block: BlockSpec, cin: int, *, ratio: int, rule: SqueezeRule | None) -> BlockSpec:
    wide = replace(block, expand=make_divisible(ratio * cin))
    excited = excited_channels(wide, cin=cin, expand=wide.expand, out=wide.out)
    return replace(wide, se=rule(cin, excited) if rule else 0)


def hswish_at(spec: ArchSpec, channels: int) -> ArchSpec:
    """Use h-swish from the first block with this many output channels on; see `hswish_from`.

    Raises:
        InputError: The number is not positive.
    """
    if channels < 1:
        raise InputError(f"hswish@{channels}: give a number of channels, such as 16 or 80")
    return hswish_from(spec, channels)


def with_filters(spec: ArchSpec, filters: int) -> ArchSpec:
    """Give the stem another number of filters; its nonlinearity stays.

    Raises:
        InputError: The number is not positive.
    """
    if filters < 1:
        raise InputError(f"stem@{filters}: give a number of filters, such as 16 or 32")
    return resize_stem(spec, filters, act=spec.stem.act)


PLAIN: dict[str, Callable[[ArchSpec], ArchSpec]] = {
    "relu": relu_everywhere,
    "unfused": unfuse_hswish,
    "no-squeeze-excite": without_squeeze_excite,
    "quarter-squeeze-excite": quarter_squeeze_excite,
    "last-stage": redesign_last_stage,
    "original-last-stage": restore_last_stage,
    "unimproved": without_improvements,
}
"""Changes without a number."""

NUMBERED: dict[str, Callable[[ArchSpec, int], ArchSpec]] = {
    "hswish": hswish_at,
    "stem": with_filters,
    "kernel": with_kernel,
    "expansion": with_expansion,
}
"""Changes with a number: `hswish@80`."""


def changed(spec: ArchSpec, change: str) -> ArchSpec:
    """Return a network with one change.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> {block.kernel for block in changed(mobilenet_v3_large(), "kernel@3").blocks}
    {3}

    Args:
        spec: The network; weights cannot be kept.
        change: A name of `PLAIN`, or one of `NUMBERED` with `@` and its number.

    Raises:
        InputError: There is no such change, or it does not apply to the network.
    """
    name, at, number = change.partition("@")
    if not at and name in PLAIN:
        return PLAIN[name](spec)
    if at and name in NUMBERED:
        try:
            value = int(number)
        except ValueError:
            raise InputError(f"{change}: {number!r} is not a whole number") from None
        return NUMBERED[name](spec, value)
    known = [*PLAIN, *(f"{one}@N" for one in NUMBERED)]
    raise InputError(
        f"no change {change!r}: there are {', '.join(known)}{did_you_mean(change, known)}"
    )
