"""The anchors of a detector: the boxes that its outputs move and score.

Liu et al., SSD (arXiv 1512.02325, section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from search_spaces.heads.specs import SSDLiteHead
from search_spaces.heads.taps import taps
from search_spaces.spec import ArchSpec

Anchor = tuple[float, float, float, float]


def map_sides(spec: ArchSpec) -> tuple[int, ...]:
    """Return the side of each feature map that a detector predicts from.

    >>> from search_spaces.heads.transforms import ssdlite
    >>> from search_spaces.references import mobilenet_v2
    >>> map_sides(ssdlite(mobilenet_v2(resolution=320), classes=2))
    (20, 10, 5, 3, 2, 1)
    """
    assert isinstance(spec.head, SSDLiteHead)
    side = -(-spec.resolution // spec.stem.stride)
    for block in spec.blocks:
        side = -(-side // block.stride)
    sides = [-(-spec.resolution // tap.stride) for tap in taps(spec)] + [side]
    for _ in spec.head.extras:
        sides.append(-(-sides[-1] // 2))
    return tuple(sides)


def anchors(spec: ArchSpec) -> list[Anchor]:
    """Return the detector's anchors in the order of its outputs.

    They are (center x, center y, width, height) as fractions of the image; map by map, row by row, cell by
    cell. No side is longer than the image's.
    """
    assert isinstance(spec.head, SSDLiteHead)
    found: list[Anchor] = []
    for number, side in enumerate(map_sides(spec)):
        sizes = list(_sizes(spec.head, number))
        for row in range(side):
            for column in range(side):
                x, y = (column + 0.5) / side, (row + 0.5) / side
                found += [(x, y, min(w, 1.0), min(h, 1.0)) for w, h in sizes]
    return found


def _sizes(head: SSDLiteHead, number: int) -> Iterator[tuple[float, float]]:
    """Yield width and height of the anchors in each cell of a map."""
    scale, following = head.scales[number], head.scales[number + 1]
    if head.reduced_first and number == 0:
        yield scale / 2, scale / 2
        root = math.sqrt(head.ratios[0][0])
        yield scale * root, scale / root
        yield scale / root, scale * root
        return
    yield scale, scale
    between = math.sqrt(scale * following)
    yield between, between
    for ratio in head.ratios[number]:
        root = math.sqrt(ratio)
        yield scale * root, scale / root
        yield scale / root, scale * root


def anchors_of_count(spec: ArchSpec, count: int) -> list[Anchor]:
    """Return the anchors for images of another size, from how many the network has predicted.

    The number grows with the size of the feature maps, so it determines these.

    >>> from search_spaces.heads.transforms import ssdlite
    >>> from search_spaces.references import mobilenet_v2
    >>> spec = ssdlite(mobilenet_v2(resolution=320), classes=2)
    >>> small = anchors(replace(spec, resolution=96))
    >>> anchors_of_count(spec, len(small)) == small
    True

    Raises:
        ValueError: No size has this number.
    """
    px = spec.resolution
    have = _count(spec, px)
    step = 1 if have < count else -1
    while (count - have) * step > 0:
        px += step
        have = _count(spec, px)
    if have != count:
        raise ValueError(f"the network has no size with {count} anchors")
    return anchors(replace(spec, resolution=px))


def _count(spec: ArchSpec, px: int) -> int:
    assert isinstance(spec.head, SSDLiteHead)
    sides = map_sides(replace(spec, resolution=px)) if px > 0 else ()
    return sum(n * side**2 for n, side in zip(spec.head.anchors_per_cell, sides, strict=False))
