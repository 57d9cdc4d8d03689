"""Signs of faulty images: of a single color, all alike, or with an empty channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LOOKED_AT = 2000
FLAT_RANGE = 8
"""Minimum range of some channel, in levels of 255, for an image to show anything."""

DARK = 32
"""Level, of 255, that at least one image should reach."""

MOST = 0.5
FEWEST = 8
"""Minimum number of images for statements about all of them."""

NAMED = 3
CHANNELS = ("red", "green", "blue")


def oddities(images: NDArray[np.uint8], name: Callable[[int], str]) -> list[str]:
    """Check some 2000 evenly spaced images, and return what is odd, one line each.

    Args:
        images: (N, 3, H, W).
        name: Returns an image's name by its index.
    """
    numbers = range(0, len(images), max(1, len(images) // LOOKED_AT))
    if len(numbers) < FEWEST:
        return []
    some = images[numbers.start : numbers.stop : numbers.step]
    low, high = some.min(axis=(2, 3)), some.max(axis=(2, 3))  # (M, 3)
    flat = ((high - low) < FLAT_RANGE).all(axis=1)
    lines = []
    if flat.mean() > MOST:
        found = [name(numbers[index]) for index in np.flatnonzero(flat)[:NAMED].tolist()]
        lines.append(
            f"{_share(int(flat.sum()), len(some))} have a single color, for example "
            f"{', '.join(found)}: check how they were saved"
        )
    else:  # images of one color are copies of each other, too
        lines += _alike(some, lambda index: name(numbers[index]))
    return lines + _empty_channels(low.min(axis=0), high.max(axis=0)) + _dark(int(high.max()))


def _alike(images: NDArray[np.uint8], name: Callable[[int], str]) -> list[str]:
    digests = [hash(image.tobytes()) for image in images]
    seen = Counter(digests)
    copies = [index for index, digest in enumerate(digests) if seen[digest] > 1]
    if len(copies) <= MOST * len(images):
        return []
    first = copies[0]
    second = next(p for p in copies[1:] if digests[p] == digests[first])
    return [
        f"{_share(len(copies), len(images))} are copies of others, for example {name(first)} and "
        f"{name(second)}"
    ]


def _empty_channels(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> list[str]:
    """Report channels with one value in all images, if others vary."""
    empty = [CHANNELS[index] for index in range(3) if low[index] == high[index]]
    if not empty or len(empty) == len(CHANNELS):
        return []
    one = len(empty) == 1
    return [
        f"{' and '.join(empty)} {'has' if one else 'have'} the same value in every pixel: "
        f"{'a channel is' if one else 'channels are'} empty"
    ]


def _dark(highest: int) -> list[str]:
    """Report dark images: color images of 12 bits in 16 decode to 8 bits with the upper four empty."""
    if not FLAT_RANGE <= highest < DARK:
        return []
    return [
        f"no sampled training image is brighter than {highest} of 255: if they hold 12-bit values in "
        "16-bit files, save them with 8 bits"
    ]


def _share(count: int, total: int) -> str:
    return f"{count} of {total} sampled training images"
