"""Turn a classifier's spec into a detector or a segmentation network.

Each function returns a new spec and takes any body: a published network, or one that a search found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from search_spaces.channels import excited_channels
from search_spaces.errors import InputError
from search_spaces.field_types import Dilation
from search_spaces.heads.specs import (
    DenseHead,
    ExtraSpec,
    HeadSpec,
    LRASPPHead,
    RASPPHead,
    SSDLiteHead,
)
from search_spaces.spec import ArchSpec, BlockSpec
from search_spaces.squeeze_rules import squeeze_rules

Convention = Literal["torchvision", "tensorflow"]
OutputStride = Literal[8, 16, 32]

EXTRAS = (512, 256, 256, 128)
NARROWEST_EXTRA = 16
SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
RATIOS = (2.0, 3.0)


def ssdlite(
    spec: ArchSpec,
    *,
    classes: int,
    width: float = 1.0,
    scores: Literal["softmax", "sigmoid"] = "softmax",
    reduced_first: bool = False,
) -> ArchSpec:
    """Give a network SSDLite's head, as torchvision's `ssdlite320_mobilenet_v3_large` has it.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> head = ssdlite(mobilenet_v3_large(resolution=320), classes=90).head
    >>> [extra.out for extra in head.extras], head.anchors_per_cell
    ([512, 256, 256, 128], (6, 6, 6, 6, 6, 6))

    Args:
        spec: A classifier, or a network with another head.
        classes: Number of classes, without the background.
        width: Multiplier of the extra layers, as TensorFlow scales them with the body.
        scores: See `SSDLiteHead`.
        reduced_first: See `SSDLiteHead`; TensorFlow's networks have it.

    Raises:
        InputError: The body never strides from 16 to 32.
    """
    outs = [max(NARROWEST_EXTRA, int(out * width)) for out in EXTRAS]
    head = SSDLiteHead(
        conv=spec.head.conv,
        act=spec.head.act,
        extras=tuple(ExtraSpec(inner=out // 2, out=out) for out in outs),
        scales=SCALES,
        ratios=(RATIOS,) * (2 + len(outs)),
        reduced_first=reduced_first,
        scores=scores,
        classes=classes,
    )
    return _with_head(spec, head)


def lraspp(
    spec: ArchSpec,
    *,
    classes: int,
    filters: int = 128,
    pool: int = 0,
    pool_stride: tuple[int, int] = (1, 1),
    gate: Literal["sigmoid", "hsigmoid"] = "sigmoid",
    skip: Literal["entry", "depthwise"] = "entry",
) -> ArchSpec:
    """Give a network LR-ASPP's head; see `LRASPPHead` for the arguments and `dilate` for the output stride.

    Raises:
        InputError: The body has no map of stride 8.
    """
    head = LRASPPHead(
        conv=_last_conv(spec),
        act=spec.head.act,
        filters=filters,
        pool=pool,
        pool_stride=pool_stride,
        gate=gate,
        skip=skip,
        classes=classes,
    )
    return _with_head(spec, head)


def raspp(spec: ArchSpec, *, classes: int, filters: int = 256) -> ArchSpec:
    """Give a network R-ASPP's head; see `RASPPHead` and `dilate`."""
    head = RASPPHead(conv=_last_conv(spec), act=spec.head.act, filters=filters, classes=classes)
    return _with_head(spec, head)


def with_own_widths(head: DenseHead, narrower: Callable[[int], int]) -> DenseHead:
    """Return a head with the widths of its own layers changed, not those of what it shares with the body.

    >>> from search_spaces.references import mobilenet_v2
    >>> head = ssdlite(mobilenet_v2(), classes=2).head
    >>> [extra.out for extra in with_own_widths(head, lambda width: width // 2).extras]
    [256, 128, 128, 64]
    """
    if isinstance(head, SSDLiteHead):
        extras = [
            replace(one, inner=narrower(one.inner), out=narrower(one.out)) for one in head.extras
        ]
        return replace(head, extras=tuple(extras))
    return replace(head, filters=narrower(head.filters))


def _with_head(spec: ArchSpec, head: SSDLiteHead | LRASPPHead | RASPPHead) -> ArchSpec:
    try:
        return replace(spec, head=head)
    except ValueError as error:  # pydantic's
        reason = str(error).split("Value error, ")[-1].split(" [type=")[0]
        raise InputError(f"{reason}: give a network with more strides") from error


def _last_conv(spec: ArchSpec) -> int:
    """Return the width of the convolution before the head: DeepLab keeps MobileNetV3's and drops V2's."""
    if isinstance(spec.head, HeadSpec):
        return spec.head.conv if spec.head.hidden else 0
    return spec.head.conv


def halve_tail(spec: ArchSpec, *, entry: bool = False) -> ArchSpec:
    """Halve the channels of the last stage: from the block whose stride leads to 32 on.

    Without `entry`, that block keeps its expansion, which SSDLite reads as C4: the paper's dagger rows of
    detection, TensorFlow's "+", torchvision's `reduced_tail`; and RF2 of MobileNetV2 for segmentation. With
    it, it is RF2 of MobileNetV3. Apply it before `dilate`.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> spec = halve_tail(mobilenet_v3_large())
    >>> [(block.expand, block.out) for block in spec.blocks[-3:]], spec.head.conv
    ([(672, 80), (480, 80), (480, 80)], 480)

    Raises:
        InputError: No block strides from 16 to 32.
    """
    strides = list(_strides(spec))
    first = next((i for i, (at, to) in enumerate(strides) if at == 16 and to == 32), None)
    if first is None:
        raise InputError(
            f"no block strides from 16 to 32, the last has stride {strides[-1][1]}: halve before dilating"
        )
    blocks, cin = [], spec.stem.out
    rules = squeeze_rules(spec)
    for index, (block, rule) in enumerate(zip(spec.blocks, rules, strict=True)):
        expand, out = block.expand, block.out
        if index >= first:
            out //= 2
            expand = expand // 2 if entry or index > first else expand
        se = rule(cin, excited_channels(block, cin=cin, expand=expand, out=out)) if rule else 0
        blocks.append(replace(block, expand=expand, out=out, se=se))
        cin = out
    head = replace(spec.head, conv=spec.head.conv // 2)
    return replace(spec, blocks=tuple(blocks), head=head)


def dilate(
    spec: ArchSpec, output_stride: OutputStride, *, convention: Convention = "torchvision"
) -> ArchSpec:
    """Keep the maps at a stride: later strides become 1 and later depthwise convolutions dilated.

    Code bases differ in the block that had the stride: torchvision dilates it as the following ones,
    TensorFlow does not.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> [block.dilation for block in dilate(mobilenet_v3_large(), 16).blocks[-4:]]
    [1, 2, 2, 2]
    >>> spec = dilate(mobilenet_v3_large(), 16, convention="tensorflow")
    >>> [block.dilation for block in spec.blocks[-4:]]
    [1, 1, 2, 2]
    """
    blocks: list[BlockSpec] = []
    rate: Dilation = 1
    for block, (at, _) in zip(spec.blocks, _strides(spec), strict=True):
        if block.stride == 2 and at >= output_stride:
            before, rate = rate, 2 if rate == 1 else 4
            own = rate if convention == "torchvision" else before
            blocks.append(replace(block, stride=1, dilation=own))
        else:
            blocks.append(replace(block, dilation=max(rate, block.dilation)))
    return replace(spec, blocks=tuple(blocks))


def _strides(spec: ArchSpec) -> Iterator[tuple[int, int]]:
    """Yield the stride of each block's input and output map."""
    stride: int = spec.stem.stride
    for block in spec.blocks:
        yield stride, stride * block.stride
        stride *= block.stride
