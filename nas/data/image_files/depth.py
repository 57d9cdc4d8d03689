"""Grey images of more than eight bits: what their values mean, and how they become 0 to 255.

A file's mode does not say what white is: 12-bit cameras write 0 to 4095 into 16-bit files, and floats
are 0 to 1 as often as 0 to 255. What the file says of itself goes first. Otherwise white is the
smallest of 1, 255, 4095 and 65535 that no value exceeds; for a data set it is the same for all of its
images (`common_white`), so that a dark one among them stays dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files.plain_files import PNG_MAGIC, png_chunks

WHITES = (1, 255, 4095, 65535)
FULL = 65535
OVERSHOOT = 0.01  # of white: what resampling leaves beyond it
UNCLEAR_BELOW = 8  # floats up to here, and above 1, are too dark for 0 to 255
_HEADER_BYTES = 4096
_MEND = "; save it with 8 bits, or 16 from 0 up"


@dataclass(frozen=True)
class White:
    """What white is in a data set; None leaves it to each image.

    Attributes:
        whole: of images of whole numbers (PIL's modes I and I;16).
        real: of images of floats (mode F).
    """

    whole: int | None = None
    real: int | None = None

    def of(self, image: Image.Image) -> int | None:
        """White of an image's mode."""
        return self.real if image.mode == "F" else self.whole


EACH_ITS_OWN = White()


def is_deep(image: Image.Image) -> bool:
    """Whether an image is grey and has more than eight bits.

    >>> is_deep(Image.new("I;16", (1, 1))), is_deep(Image.new("L", (1, 1)))
    (True, False)
    """
    return image.mode == "F" or image.mode.startswith("I")


def declared_white(image: Image.Image) -> int | None:
    """What the file says of itself, as far as it is reliable; ask before the pixels are loaded.

    PGM and JPEG 2000 are scaled to 16 bits by Pillow. TIFF's BitsPerSample counts where it is 9 to 15,
    and PNG's sBIT, which says how many bits were significant before they were scaled to 16.
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
    """Which value is white in a loaded image.

    Args:
        image: of a mode that `is_deep`.
        declared: what the file says of itself: see `declared_white`.
        common: of the data set that it belongs to, if that is known.

    Raises:
        ValueError: its values leave that open; the message is the reason.

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
        raise ValueError(f"values up to {high:g}, and no white is known above {FULL}{_MEND}")
    if low < -_slack(image, white):
        raise ValueError(f"values down to {low:g}, so that black is unknown{_MEND}")
    return white


def _smallest(image: Image.Image, high: float) -> int:
    """The smallest white that no value exceeds."""
    if image.mode == "F" and 1 + OVERSHOOT < high < UNCLEAR_BELOW:
        raise ValueError(f"values up to {high:g}, which is neither 0 to 1 nor 0 to 255{_MEND}")
    # Ones among 16-bit values are noise, not a mask.
    least = 255 if image.mode.startswith("I;16") else 1
    return next((w for w in WHITES if w >= least and high <= w + _slack(image, w)), FULL)


def eight_bits(image: Image.Image, white: int) -> Image.Image:
    """Scale a loaded grey image so that `white` becomes 255; what lies beyond is cut off.

    >>> eight_bits(Image.new("I", (1, 1), 2048), 4095).getpixel((0, 0))
    128
    """
    values = np.asarray(image)
    if white == FULL and image.mode != "F":
        scaled: NDArray[np.generic] = np.clip(values, 0, FULL).astype(np.uint16) >> 8
    else:
        # + 0.5 rounds: casting cuts the fraction off.
        scaled = np.clip(values.astype(np.float32) * (255 / white) + 0.5, 0, 255)
    return Image.fromarray(scaled.astype(np.uint8))


def common_white(seen: Sequence[tuple[bool, int]]) -> White:
    """White of a data set from some of its images: the highest that any of them has.

    Args:
        seen: of each deep image whether it is of floats, and its white.
    """
    whole = max((white for real, white in seen if not real), default=None)
    return White(whole, max((white for real, white in seen if real), default=None))


def _extremes(image: Image.Image) -> tuple[float, float]:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("values that are no numbers (nan or infinite)")
    return low, high


def _slack(image: Image.Image, white: int) -> float:
    return OVERSHOOT * white if image.mode == "F" else 0.0


def _shifted(image: Image.Image, declared: int) -> bool:
    """Whether significant bits stand at the upper end, as PNG asks for: then white is 65535."""
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
    place = file.tell()
    file.seek(0)
    head = file.read(_HEADER_BYTES)
    file.seek(place)
    if not head.startswith(PNG_MAGIC):
        return None
    found = (data for name, data, _ in png_chunks(head) if name == b"sBIT" and data)
    return next((data[0] for data in found), None)
