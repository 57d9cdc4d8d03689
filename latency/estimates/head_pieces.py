"""The pieces of heads for detection and segmentation, as parts of small networks.

Most layers of such heads are blocks: an extra layer of SSDLite is an inverted bottleneck, a predictor a
separable convolution. What joins R-ASPP's and LR-ASPP's branches is none, and is one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from search_spaces.field_types import Act, Op, Stride
from search_spaces.heads.specs import LRASPPHead, RASPPHead, SSDLiteHead
from search_spaces.heads.taps import taps
from search_spaces.spec import ArchSpec, BlockSpec, StemSpec

THIN = 8
"""Channels of the layers of a probe that are there for their stride alone."""


class Low(NamedTuple):
    """A map inside the body that a head reads: its channels and its side in pixels."""

    channels: int
    px: int


class HeadPart(NamedTuple):
    """A part of a head with its input: channels, side in pixels, and the map that it reads in the body."""

    part: BlockSpec | LRASPPHead | RASPPHead
    cin: int
    px: int
    low: Low | None = None


def head_parts(spec: ArchSpec, cin: int, px: int) -> Iterator[HeadPart]:
    """Yield the parts of a network's dense head.

    Reshaping SSDLite's outputs is in none of them.

    Args:
        spec: The network.
        cin: Channels of the body's output.
        px: Its side in pixels.
    """
    head = spec.head
    low = [Low(tap.channels, -(-spec.resolution // tap.stride)) for tap in taps(spec)]
    if head.conv:
        yield HeadPart(_block("conv", kernel=1, out=head.conv, act=head.act), cin, px)
        cin = head.conv
    match head:
        case SSDLiteHead():
            yield from _ssdlite(head, [*low, Low(cin, px)])
        case LRASPPHead():
            # In a probe there is one map to read, whatever the network's own skip is.
            yield HeadPart(replace(head, conv=0, skip="entry"), cin, px, low[0])
        case RASPPHead():
            yield HeadPart(replace(head, conv=0), cin, px)


def _ssdlite(head: SSDLiteHead, maps: list[Low]) -> Iterator[HeadPart]:
    for extra in head.extras:
        cin, px = maps[-1]
        block = _block("mbconv", kernel=3, stride=2, expand=extra.inner, out=extra.out, act="relu6")
        yield HeadPart(block, cin, px)
        maps.append(Low(extra.out, -(-px // 2)))
    for (cin, px), anchors in zip(maps, head.anchors_per_cell, strict=True):
        for columns in (head.classes + 1, 4):
            out = anchors * columns
            block = _block("sepconv", kernel=3, out=out, act="relu6", linear=True)
            yield HeadPart(block, cin, px)


def _block(
    op: Op,
    *,
    kernel: int,
    out: int,
    act: Act,
    stride: Stride = 1,
    expand: int = 0,
    linear: bool = False,
) -> BlockSpec:
    return BlockSpec(
        op=op,
        kernel=kernel,
        stride=stride,
        expand=expand,
        out=out,
        se=0,
        gate="none",
        act=act,
        linear=linear,
        skip="none",
    )


def strided_body(cin: int, px: int, low: Low) -> tuple[StemSpec, tuple[BlockSpec, ...]]:
    """Return a thin body for images of `8 * low.px` pixels with a map of stride 8 and a last one.

    Args:
        cin: Channels of the last map.
        px: Its side: that of `low`, a half or a quarter of it.
        low: The map of stride 8.
    """
    stem = StemSpec(out=THIN, kernel=1, stride=2, act="relu")
    widths = [THIN, low.channels, *[THIN] * _halvings(low.px, px)]
    strides: list[Stride] = [2] * len(widths)
    if px == low.px:
        widths.append(cin)
        strides.append(1)
    widths[-1] = cin
    blocks = (
        _block("conv", kernel=1, stride=stride, out=out, act="relu")
        for out, stride in zip(widths, strides, strict=True)
    )
    return stem, tuple(blocks)


def _halvings(side: int, px: int) -> int:
    """Return how many strides of 2 lead from one side to another.

    >>> _halvings(13, 4), _halvings(64, 32), _halvings(8, 8)
    (2, 1, 0)
    """
    halvings = 0
    while side > px:
        side, halvings = -(-side // 2), halvings + 1
    return halvings
