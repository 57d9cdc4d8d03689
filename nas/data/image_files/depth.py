"""Grey images of more than eight bits: find their white level and scale them to 0 to 255.

A file's mode does not determine white: 12-bit cameras write 0 to 4095 into 16-bit files, and floats may
be 0 to 1 or 0 to 255. What the file declares takes precedence. Otherwise white is the smallest of 1, 255,
4095 and 65535 that no value exceeds. It is the same for all images of a data set (`common_white`), so
that dark images stay dark.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files.plain_files import PNG_MAGIC, png_chunks
from nas.data.image_files.preparation import White

WHITES = (1, 255, 4095, 65535)
FULL = 65535
OVERSHOOT = 0.01  # of white: resampling may leave values this far beyond it
UNCLEAR_BELOW = 8  # floats with a maximum between 1 and this are too dark for 0 to 255
_HEADER_BYTES = 4096
_MEND = "; save it with 8 bits, or with 16 bits starting at 0"


def is_deep(image: Image.Image) -> bool:
    """Return whether an image is grey with more than eight bits.

    >>> is_deep(Image.new("I;16", (1, 1))), is_deep(Image.new("L", (1, 1)))
    (True, False)
    """
    return image.mode == "F" or image.mode.startswith("I")


def declared_white(image: Image.Image) -> int | None:
    """Return the white level that the file declares, if reliable; call this before loading pixels.

    Pillow scales PGM and JPEG 2000 to 16 bits. TIFF's BitsPerSample counts if it is 9 to 15, and so does
    PNG's sBIT, the number of significant bits before they were scaled to 16.
    """
    if image.mode == "F":
        return None
    if image.format in ("PPM", "JPEG2000"):
        return FULL
    if image.format == "TIFF":
        bits = _first_number(image, 258)
        return (1 << bits) - 1 if bits is not None and 8 < bits < 16 else None
    if image.format == "PNG":
        bits = _significant_bits(image)
        return (1 << bits) - 1 if bits is not None and 8 < bits <= 16 else None
    return None


def white_of(image: Image.Image, *, declared: int | None = None, common: int | None = None) -> int:
    """Return the white level of a loaded image.

    Args:
        image: An image for which `is_deep` holds.
        declared: What the file declares: see `declared_white`.
        common: White level of its data set, if known.

    Raises:
        ValueError: Its values leave this open; the message is the reason.

    >>> white_of(Image.new("I;16", (2, 2), 4000)), white_of(Image.new("F", (2, 2), 0.5))
    (4095, 1)
    >>> white_of(Image.new("I;16", (2, 2), 4000), common=65535)
    65535
    """
    low, high = _extremes(image)
    overshoots = image.mode == "F" and common == 1 and high < UNCLEAR_BELOW
    if declared is not None:
        white = declared if high <= declared and not _shifted(image, declared) else FULL
    elif common is not None and (high <= common or overshoots):
        white = common
    else:
        white = _smallest(image, high)
    if high > FULL * (1 + OVERSHOOT):
        raise ValueError(f"values up to {high:g}, and no white level above {FULL} is known{_MEND}")
    if low < -_slack(image, white):
        raise ValueError(f"negative values down to {low:g}, so black is unknown{_MEND}")
    return white


def _smallest(image: Image.Image, high: float) -> int:
    """Return the smallest white level that no value exceeds."""
    if image.mode == "F" and 1 + OVERSHOOT < high < UNCLEAR_BELOW:
        raise ValueError(f"values up to {high:g}, which is neither 0 to 1 nor 0 to 255{_MEND}")
    # Ones in 16-bit images are noise, not a mask.
    least = 255 if image.mode.startswith("I;16") else 1
    return next((w for w in WHITES if w >= least and high <= w + _slack(image, w)), FULL)


def eight_bits(image: Image.Image, white: int) -> Image.Image:
    """Scale a loaded grey image so that `white` becomes 255; clip what lies beyond.

    >>> eight_bits(Image.new("I", (1, 1), 2048), 4095).getpixel((0, 0))
    128
    """
    values = np.asarray(image)
    if white == FULL and image.mode != "F":
        scaled: NDArray[np.generic] = np.clip(values, 0, FULL).astype(np.uint16) >> 8
    else:
        # + 0.5 rounds: the cast truncates.
        scaled = np.clip(values.astype(np.float32) * (255 / white) + 0.5, 0, 255)
    return Image.fromarray(scaled.astype(np.uint8))


def common_white(seen: Sequence[tuple[bool, int]]) -> White:
    """Return the white level of a data set: the highest among a sample of its images.

    Args:
        seen: For each deep image, whether it is a float image, and its white level.
    """
    whole = max((white for real, white in seen if not real), default=None)
    return White(whole, max((white for real, white in seen if real), default=None))


def _extremes(image: Image.Image) -> tuple[float, float]:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("values that are not finite (NaN or infinite)")
    return low, high


def _slack(image: Image.Image, white: int) -> float:
    return OVERSHOOT * white if image.mode == "F" else 0.0


def _shifted(image: Image.Image, declared: int) -> bool:
    """Return whether significant bits are the upper ones, as PNG requires: then white is 65535."""
    if image.format != "PNG" or declared == FULL:
        return False
    spare = (FULL + 1) // (declared + 1)
    values = np.asarray(image)
    return bool(values.any()) and not bool((values % spare).any())


def _first_number(image: Image.Image, tag: int) -> int | None:
    tags = getattr(image, "tag_v2", {})
    value = tags.get(tag)
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else None


def _significant_bits(image: Image.Image) -> int | None:
    file = getattr(image, "fp", None)
    if file is None:
        return None
    position = file.tell()
    file.seek(0)
    head = file.read(_HEADER_BYTES)
    file.seek(position)
    if not head.startswith(PNG_MAGIC):
        return None
    found = (data for name, data, _ in png_chunks(head) if name == b"sBIT" and data)
    return next((data[0] for data in found), None)
