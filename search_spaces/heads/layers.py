"""The convolutions of heads for detection and segmentation, as `search_spaces.cost` counts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search_spaces.counted_layers import POINT, Layer, Size, biased, pointwise
from search_spaces.heads.specs import DenseHead, LRASPPHead, RASPPHead, SSDLiteHead


def head_layers(
    head: DenseHead, low: Sequence[tuple[int, Size]], cin: int, size: Size
) -> Iterator[Layer]:
    """Yield the layers of a head.

    Args:
        head: The head.
        low: Channels and size of the maps that it reads inside the body; see `taps`.
        cin: Channels of the body's output.
        size: Size of the body's output.
    """
    width = cin
    if head.conv:
        yield pointwise("conv", cin, head.conv, size)
        width = head.conv
    match head:
        case SSDLiteHead():
            yield from _ssdlite(head, [*low, (width, size)])
        case LRASPPHead():
            yield from _lraspp(head, low[0], width, size)
        case RASPPHead():
            yield from _raspp(head, width, size)


def _ssdlite(head: SSDLiteHead, maps: list[tuple[int, Size]]) -> Iterator[Layer]:
    for index, extra in enumerate(head.extras):
        channels, size = maps[-1]
        name = f"extra {index}"
        yield pointwise(f"{name} squeeze", channels, extra.inner, size)
        yield Layer(f"{name} depthwise", extra.inner, extra.inner, 3, 2, extra.inner, size, True)
        yield pointwise(name, extra.inner, extra.out, size.strided(2))
        maps.append((extra.out, size.strided(2)))
    for index, ((channels, size), anchors) in enumerate(
        zip(maps, head.anchors_per_cell, strict=True)
    ):
        for name, columns in (("scores", head.classes + 1), ("boxes", 4)):
            place = f"map {index} {name}"
            yield Layer(f"{place} depthwise", channels, channels, 3, 1, channels, size, True)
            yield biased(place, channels, anchors * columns, size)


def _lraspp(head: LRASPPHead, low: tuple[int, Size], cin: int, size: Size) -> Iterator[Layer]:
    yield pointwise("branch", cin, head.filters, size)
    pooled = POINT
    if head.pool:
        sides = zip(size, head.pool_stride, strict=True)
        pooled = Size(*((side - min(head.pool, side)) // step + 1 for side, step in sides))
    yield Layer("scale", cin, head.filters, 1, 1, 1, pooled, norm=False, bias=False)
    channels, large = low
    yield biased("low", channels, head.classes, large)
    yield biased("high", head.filters, head.classes, large)


def _raspp(head: RASPPHead, cin: int, size: Size) -> Iterator[Layer]:
    yield pointwise("branch", cin, head.filters, size)
    yield pointwise("pooled", cin, head.filters, POINT)
    yield pointwise("project", head.filters, head.filters, size)
    yield Layer("context", head.filters, head.filters, 1, 1, 1, POINT, norm=False, bias=False)
    yield biased("high", head.filters, head.classes, size)
