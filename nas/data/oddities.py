"""Signs that images are not what they should be: of one colour, all alike, or without a channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LOOKED_AT = 2000
FLAT_RANGE = 8
"""Grey levels, of 255: an image in which every channel spans fewer shows nothing."""

DARK = 32
"""Grey levels, of 255, that images reach."""

MOST = 0.5
FEWEST = 8
"""Images below which nothing is said of all of them."""

NAMED = 3
CHANNELS = ("red", "green", "blue")


def oddities(images: NDArray[np.uint8], name: Callable[[int], str]) -> list[str]:
    """Look at some 2000 images, spread evenly, and return what is odd, a line each.

    Args:
        images: (N, 3, H, W).
        name: names an image by its number.
    """
    numbers = range(0, len(images), max(1, len(images) // LOOKED_AT))
    if len(numbers) < FEWEST:
        return []
    some = images[numbers.start : numbers.stop : numbers.step]
    low, high = some.min(axis=(2, 3)), some.max(axis=(2, 3))  # (M, 3)
    flat = ((high - low) < FLAT_RANGE).all(axis=1)
    told = []
    if flat.mean() > MOST:
        found = [name(numbers[place]) for place in np.flatnonzero(flat)[:NAMED].tolist()]
        told.append(
            f"{_share(int(flat.sum()), len(some))} show a single colour, for example "
            f"{', '.join(found)}: check how they were saved"
        )
    else:  # images of one colour are alike, too
        told += _alike(some, lambda place: name(numbers[place]))
    return told + _empty_channels(low.min(axis=0), high.max(axis=0)) + _dark(int(high.max()))


def _alike(images: NDArray[np.uint8], name: Callable[[int], str]) -> list[str]:
    digests = [hash(image.tobytes()) for image in images]
    seen = Counter(digests)
    copies = [place for place, digest in enumerate(digests) if seen[digest] > 1]
    if len(copies) <= MOST * len(images):
        return []
    first = copies[0]
    second = next(p for p in copies[1:] if digests[p] == digests[first])
    return [
        f"{_share(len(copies), len(images))} are copies of others, for example {name(first)} and "
        f"{name(second)}"
    ]


def _empty_channels(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> list[str]:
    """Channels with one value in all images, where others have more."""
    empty = [CHANNELS[place] for place in range(3) if low[place] == high[place]]
    if not empty or len(empty) == len(CHANNELS):
        return []
    one = len(empty) == 1
    return [
        f"{' and '.join(empty)} {'has' if one else 'have'} the same value in every pixel: "
        f"{'a channel is' if one else 'channels are'} empty"
    ]


def _dark(highest: int) -> list[str]:
    """Colour images of 12 bits in 16 come as 8 bits of which the upper four are empty."""
    if not FLAT_RANGE <= highest < DARK:
        return []
    return [
        f"no sampled training image is brighter than {highest} of 255: if they hold 12-bit values in "
        "16-bit files, save them with 8 bits"
    ]


def _share(count: int, total: int) -> str:
    return f"{count} of {total} sampled training images"
