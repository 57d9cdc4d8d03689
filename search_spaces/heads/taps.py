"""Which feature maps of a body a head reads.

They follow from the strides of the blocks and are not stored, so they stay right when blocks are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from search_spaces.heads.specs import LRASPPHead, SSDLiteHead

if TYPE_CHECKING:
    from search_spaces.spec import ArchSpec, BlockSpec

At = Literal["input", "expansion", "depthwise", "output"]


@dataclass(frozen=True)
class Tap:
    """A feature map inside the body.

    Attributes:
        block: Index of the block.
        at: Where in the block: its input, the output of its expansion or of its depthwise convolution
            (before squeeze-and-excite), or its output.
        channels: Channels of the map.
        stride: Its stride.
    """

    block: int
    at: At
    channels: int
    stride: int


def taps(spec: ArchSpec) -> tuple[Tap, ...]:
    """Return the maps inside the body that the network's head reads, besides the last one.

    A classifier and R-ASPP read none. SSDLite reads C4 where the stride becomes 32: the expansion of the
    first block there, or its input where it has no expansion (MobileNetV1). LR-ASPP reads a map of stride
    8; see `LRASPPHead.skip`.

    >>> from dataclasses import replace
    >>> from search_spaces.heads.specs import LRASPPHead
    >>> from search_spaces.references import mobilenet_v3_large
    >>> head = LRASPPHead(conv=960, act="hswish", classes=21)
    >>> taps(replace(mobilenet_v3_large(), head=head))
    (Tap(block=3, at='output', channels=40, stride=8),)

    Raises:
        ValueError: No block of the body strides to 32, or none has a map of stride 8.
    """
    if isinstance(spec.head, SSDLiteHead):
        return (_c4(spec),)
    if isinstance(spec.head, LRASPPHead):
        return (_skip(spec, spec.head),)
    return ()


def _c4(spec: ArchSpec) -> Tap:
    stride: int = spec.stem.stride
    for index, block in enumerate(spec.blocks):
        if stride == 16 and block.stride == 2:
            at: At = "expansion" if block.expand else "input"
            return Tap(index, at, block.expand or spec.widths()[index], stride)
        stride *= block.stride
    raise ValueError(
        f"head: ssdlite reads the map before the stride becomes 32, the last block has stride {stride}"
    )


def _skip(spec: ArchSpec, head: LRASPPHead) -> Tap:
    stride: int = spec.stem.stride
    found: list[Tap] = []
    for index, block in enumerate(spec.blocks):
        stride *= block.stride
        if stride == 8:
            found.append(_tap(index, block, cin=spec.widths()[index], skip=head.skip))
    if not found:
        raise ValueError(f"head: lraspp reads a map of stride 8, the blocks have none: {stride}")
    return found[0 if head.skip == "entry" else -1]


def _tap(index: int, block: BlockSpec, *, cin: int, skip: str) -> Tap:
    if skip == "entry" or block.op == "conv":
        return Tap(index, "output", block.out, 8)
    return Tap(index, "depthwise", block.expand or cin, 8)
