"""MobileNetV3's network improvements, each a transformation of a spec (arXiv 1905.02244, section 5).

The paper applies them to what the search and NetAdapt found; they apply to any network of the kind.
Weights do not survive them: an improved network is trained anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from search_spaces.errors import InputError
from search_spaces.spec import Act, ArchSpec, BlockSpec, HeadSpec
from search_spaces.widths import make_divisible


def redesign_last_stage(spec: ArchSpec) -> ArchSpec:
    """Pool right after the last expansion (figure 5): saves 7 ms of 61 and 30M MAdds in the paper.

    Before: last bottleneck (expansion, depthwise, projection) -> 1x1 convolution -> pool. After: the
    expansion, as the last convolution -> pool -> the former 1x1 convolution, now on a 1x1 map. The last
    bottleneck's depthwise convolution and projection are gone.

    Raises:
        InputError: The network pools early already, or its last block has no expansion to end with.
    """
    if spec.head.hidden:
        raise InputError("the last stage pools before its hidden layer already")
    if not spec.head.conv:
        raise InputError("the head has no 1x1 convolution to move behind the pool")
    if not spec.blocks or spec.blocks[-1].op != "mbconv" or spec.blocks[-1].stride != 1:
        raise InputError("the last block must be an mbconv of stride 1 to end with its expansion")
    head = replace(spec.head, conv=spec.blocks[-1].expand, hidden=spec.head.conv)
    return replace(spec, blocks=spec.blocks[:-1], head=head)


def restore_last_stage(spec: ArchSpec) -> ArchSpec:
    """The last stage as MobileNetV2 and MnasNet have it: undoes `redesign_last_stage`.

    The bottleneck added back has a 3x3 kernel and projects to twice its input's channels, as theirs do.

    Raises:
        InputError: The network has no hidden layer after the pool, or no convolution before it.
    """
    if not (spec.head.hidden and spec.head.conv):
        raise InputError("the last stage is MobileNetV2's already")
    channels = spec.widths()[-1]
    last = BlockSpec(
        op="mbconv",
        kernel=3,
        stride=1,
        expand=spec.head.conv,
        out=2 * channels,
        se=0,
        gate="none",
        act=spec.head.act,
        linear=True,
        skip="none",
    )
    head = replace(spec.head, conv=spec.head.hidden, hidden=0)
    return replace(spec, blocks=(*spec.blocks, last), head=head)


def resize_stem(spec: ArchSpec, filters: int = 16, *, act: Act = "hswish") -> ArchSpec:
    """Another number of filters and nonlinearity for the first convolution.

    The paper's 32 with ReLU -> 16 with h-swish saves 2 ms and 10M MAdds. The first block keeps its
    expansion ratio, and gets an identity skip where the new shape allows one.
    """
    blocks = spec.blocks
    if blocks and filters != spec.stem.out:
        blocks = (_refed(blocks[0], spec.stem.out, filters), *blocks[1:])
    return replace(spec, stem=replace(spec.stem, out=filters, act=act), blocks=blocks)


def _refed(block: BlockSpec, old: int, new: int) -> BlockSpec:
    """The block, fed `new` channels in place of `old`."""
    fits = block.stride == 1 and block.out == new and block.linear
    expand = make_divisible(block.expand * new / old) if block.expand else 0
    return replace(block, expand=expand, skip="identity" if fits else "none")


def hswish_from(spec: ArchSpec, channels: int | None = 80) -> ArchSpec:
    """h-swish from the first block on that puts out `channels`, ReLU before it (section 5.2, h-swish@N).

    The stem is left alone: `resize_stem` decides about it.

    Args:
        spec: The network.
        channels: N; MobileNetV3-Large has 80, Small 40. None puts ReLU everywhere, in the head too.
    """
    reached = False
    blocks: list[BlockSpec] = []
    for block in spec.blocks:
        reached = reached or (channels is not None and block.out >= channels)
        blocks.append(replace(block, act="hswish" if reached else "relu"))
    head = replace(spec.head, act="relu" if channels is None else "hswish")
    return replace(spec, blocks=tuple(blocks), head=head)


def quarter_squeeze_excite(spec: ArchSpec) -> ArchSpec:
    """Squeeze-and-excite at a quarter of the expansion, with a hard sigmoid, wherever there is one.

    MnasNet's is at a quarter of the block's *input*, with a sigmoid.
    """
    cins = spec.widths()[:-1]
    blocks = (
        replace(block, se=make_divisible(_excited(block, cin) // 4), gate="hsigmoid")
        if block.se
        else block
        for block, cin in zip(spec.blocks, cins, strict=True)
    )
    return replace(spec, blocks=tuple(blocks))


def _excited(block: BlockSpec, cin: int) -> int:
    """Channels that a block's squeeze-and-excite scales."""
    return {"mbconv": block.expand, "sepconv": cin, "conv": block.out}[block.op]


def unfuse_hswish(spec: ArchSpec) -> ArchSpec:
    """h-swish as x * ReLU6(x + 3) / 6 in place of one operation: what an unoptimised runtime computes."""

    def unfused(act: Act) -> Act:
        return "hswish_unfused" if act == "hswish" else act

    head: HeadSpec = replace(spec.head, act=unfused(spec.head.act))
    stem = replace(spec.stem, act=unfused(spec.stem.act))
    blocks = tuple(replace(block, act=unfused(block.act)) for block in spec.blocks)
    return replace(spec, stem=stem, blocks=blocks, head=head)


IMPROVEMENTS: dict[str, Callable[[ArchSpec], ArchSpec]] = {
    "last-stage": redesign_last_stage,
    "stem": resize_stem,
    "hswish": hswish_from,
    "squeeze-excite": quarter_squeeze_excite,
}
"""The paper's improvements by name, in its order, with its constants for Large."""


def without_improvements(spec: ArchSpec) -> ArchSpec:
    """A MobileNetV3 as it was before them.

    V2's last stage, a stem of 32 filters, ReLU, MnasNet's squeeze-and-excite.

    Raises:
        InputError: See `restore_last_stage`.
    """
    before = resize_stem(restore_last_stage(hswish_from(spec, None)), 32, act="relu")
    blocks = (
        replace(block, se=max(1, cin // 4), gate="sigmoid") if block.se else block
        for block, cin in zip(before.blocks, before.widths()[:-1], strict=True)
    )
    return replace(before, blocks=tuple(blocks))
