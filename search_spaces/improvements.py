"""MobileNetV3's network improvements, each a transformation of a spec (arXiv 1905.02244, section 5).

The paper applies them to the result of search and NetAdapt; they work on any similar network. Weights
cannot be kept: an improved network is trained from scratch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from search_spaces.errors import InputError
from search_spaces.field_types import Act
from search_spaces.heads.specs import classifier
from search_spaces.spec import ArchSpec, BlockSpec
from search_spaces.widths import make_divisible


def redesign_last_stage(spec: ArchSpec) -> ArchSpec:
    """Pool right after the last expansion (figure 5): saves 7 of 61 ms and 30M MAdds in the paper.

    Before: last bottleneck (expansion, depthwise, projection) -> 1x1 convolution -> pool. After: the
    expansion, as the last convolution -> pool -> the former 1x1 convolution, now on a 1x1 map. The last
    bottleneck's depthwise convolution and projection are removed.

    Raises:
        InputError: The network already pools early, its last block has no expansion, or it is no
            classifier.
    """
    head = classifier(spec.head)
    if head.hidden:
        raise InputError("the last stage already pools before its hidden layer")
    if not head.conv:
        raise InputError("the head has no 1x1 convolution to move behind the pool")
    if not spec.blocks or spec.blocks[-1].op != "mbconv" or spec.blocks[-1].stride != 1:
        raise InputError("the last block must be an mbconv of stride 1 to end with its expansion")
    head = replace(head, conv=spec.blocks[-1].expand, hidden=head.conv)
    return replace(spec, blocks=spec.blocks[:-1], head=head)


def restore_last_stage(spec: ArchSpec) -> ArchSpec:
    """Undo `redesign_last_stage`: restore the last stage of MobileNetV2 and MnasNet.

    The restored bottleneck has a 3x3 kernel and projects to twice its input's channels, as theirs do.

    Raises:
        InputError: The network has no hidden layer after the pool, no convolution before it, or it is no
            classifier.
    """
    head = classifier(spec.head)
    if not (head.hidden and head.conv):
        raise InputError("the last stage is already MobileNetV2's")
    channels = spec.widths()[-1]
    last = BlockSpec(
        op="mbconv",
        kernel=3,
        stride=1,
        expand=head.conv,
        out=2 * channels,
        se=0,
        gate="none",
        act=head.act,
        linear=True,
        skip="none",
    )
    head = replace(head, conv=head.hidden, hidden=0)
    return replace(spec, blocks=(*spec.blocks, last), head=head)


def resize_stem(spec: ArchSpec, filters: int = 16, *, act: Act = "hswish") -> ArchSpec:
    """Change the number of filters and the nonlinearity of the first convolution.

    From 32 with ReLU to 16 with h-swish saves 2 ms and 10M MAdds in the paper. The first block keeps its
    expansion ratio, and gets an identity skip if the new shape allows one.
    """
    blocks = spec.blocks
    if blocks and filters != spec.stem.out:
        blocks = (_with_input(blocks[0], spec.stem.out, filters), *blocks[1:])
    return replace(spec, stem=replace(spec.stem, out=filters, act=act), blocks=blocks)


def _with_input(block: BlockSpec, old: int, new: int) -> BlockSpec:
    """Change a block's input from `old` to `new` channels."""
    fits = block.stride == 1 and block.out == new and block.linear
    expand = make_divisible(block.expand * new / old) if block.expand else 0
    return replace(block, expand=expand, skip="identity" if fits else "none")


def hswish_from(spec: ArchSpec, channels: int | None = 80) -> ArchSpec:
    """Use h-swish from the first block with `channels` outputs on, ReLU before (section 5.2, h-swish@N).

    The stem is not changed; see `resize_stem`.

    Args:
        spec: The network.
        channels: N; 80 in MobileNetV3-Large, 40 in Small. None uses ReLU everywhere, also in the head.
    """
    reached = False
    blocks: list[BlockSpec] = []
    for block in spec.blocks:
        reached = reached or (channels is not None and block.out >= channels)
        blocks.append(replace(block, act="hswish" if reached else "relu"))
    head = replace(spec.head, act="relu" if channels is None else "hswish")
    return replace(spec, blocks=tuple(blocks), head=head)


def quarter_squeeze_excite(spec: ArchSpec) -> ArchSpec:
    """Set each squeeze-and-excite to a quarter of the expansion, with a hard sigmoid.

    MnasNet's is a quarter of the block's *input*, with a sigmoid.
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
    """Return the channels that a block's squeeze-and-excite scales."""
    return {"mbconv": block.expand, "sepconv": cin, "conv": block.out}[block.op]


def unfuse_hswish(spec: ArchSpec) -> ArchSpec:
    """Replace h-swish by x * ReLU6(x + 3) / 6, which a runtime without the fused operation computes."""

    def unfused(act: Act) -> Act:
        return "hswish_unfused" if act == "hswish" else act

    head = replace(spec.head, act=unfused(spec.head.act))
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
    """Undo the improvements of a MobileNetV3.

    The result has V2's last stage, a stem of 32 filters, ReLU and MnasNet's squeeze-and-excite.

    Raises:
        InputError: See `restore_last_stage`.
    """
    before = resize_stem(restore_last_stage(hswish_from(spec, None)), 32, act="relu")
    blocks = (
        replace(block, se=max(1, cin // 4), gate="sigmoid") if block.se else block
        for block, cin in zip(before.blocks, before.widths()[:-1], strict=True)
    )
    return replace(before, blocks=tuple(blocks))
