"""Decode image files to square uint8 arrays, many at a time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files.opening import reason
from nas.data.image_files.pictures import FilePictures as FilePictures
from nas.data.image_files.pictures import Pictures as Pictures
from nas.data.image_files.pictures import SomePictures as SomePictures
from nas.data.image_files.preparation import PLAIN, Preparation
from nas.data.image_files.room import Room
from nas.data.image_files.square import square_pixels
from nas.data.image_files.square import square_rgb as square_rgb
from nas.data.image_files.unreadable import Unreadable, UnreadableError

Converted = TypeVar("Converted")

ProgressCallback = Callable[[int, int], None]  # done, total

MAX_DEFAULT_PX = 224
SAMPLED_FOR_SIZE = 200
CHUNK = 32  # images per task of the pool: single small images cost more to hand out than to decode
ROOM = Room(128.0)
"""Megapixels decoded at once by the threads of a process: 4 bytes each, and as many for a copy."""


def decode(
    pictures: Pictures,
    index: int,
    *,
    size_px: int,
    preparation: Preparation = PLAIN,
) -> NDArray[np.uint8]:
    """Return one picture as uint8 (3, size_px, size_px).

    Args:
        pictures: The images.
        index: Index of the image.
        size_px: Height and width of the result.
        preparation: That of the data set.

    Raises:
        UnreadableError: The image cannot be read, is truncated or is absurdly large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about irrelevant metadata
        found = try_decode(pictures, index, size_px=size_px, preparation=preparation)
    if isinstance(found, Unreadable):
        raise UnreadableError([found])
    return found


def try_decode(
    pictures: Pictures,
    index: int,
    *,
    size_px: int,
    preparation: Preparation = PLAIN,
) -> NDArray[np.uint8] | Unreadable:
    """Return one picture, or why it cannot be read; the caller silences Pillow's warnings."""

    def square(image: Image.Image) -> NDArray[np.uint8]:
        with image, ROOM.taken(_megapixels(image, preparation.decoded_px(size_px))):
            return square_pixels(image, size_px, preparation)

    return read(pictures, index, square)


def read(
    pictures: Pictures, index: int, convert: Callable[[Image.Image], Converted]
) -> Converted | Unreadable:
    """Return what `convert` makes of one picture as PIL opens it, or why it cannot be read."""
    try:
        return convert(pictures.open(index))
    except Exception as error:  # noqa: BLE001  plug-ins may raise anything on damaged files
        problem = reason(error)
    # If only the metadata is damaged, the pixels are fine.
    try:
        plain = pictures.open_plain(index)
        if plain is not None:
            return convert(plain)
    except Exception:  # noqa: BLE001, S110  the first error is more informative
        pass
    return Unreadable(pictures.describe(index), problem)


def _megapixels(image: Image.Image, least_px: int) -> float:
    """Estimate the memory for decoding, in megapixels: JPEG is decoded small unless it is progressive."""
    whole = image.width * image.height / 1e6
    if image.format not in ("JPEG", "MPO") or image.info.get("progressive"):
        return whole
    scale = min(image.width, image.height) // least_px
    return whole / min(8, max(1, scale)) ** 2


def decode_all(
    pictures: Pictures,
    *,
    size_px: int,
    preparation: Preparation = PLAIN,
    progress: ProgressCallback | None = None,
    quiet_s: float = 2.0,
) -> NDArray[np.uint8]:
    """Decode all pictures with a pool of threads (PIL releases the GIL while decoding).

    Args:
        pictures: The images.
        size_px: Height and width of the result.
        preparation: That of the data set.
        progress: Called with (done, total), but only once the work has taken `quiet_s` seconds.
        quiet_s: Seconds of work before the first call.

    Returns:
        uint8 (N, 3, size_px, size_px).

    Raises:
        UnreadableError: Images cannot be read; all of them are listed.
    """
    images = np.empty((len(pictures), 3, size_px, size_px), np.uint8)
    bad = decode_into(images, pictures, preparation, progress=progress, quiet_s=quiet_s)
    if bad:
        raise UnreadableError(list(bad.values()))
    return images


def decode_into(
    images: NDArray[np.uint8],
    pictures: Pictures,
    preparation: Preparation = PLAIN,
    *,
    progress: ProgressCallback | None = None,
    quiet_s: float = 2.0,
) -> dict[int, Unreadable]:
    """Decode all pictures into `images`, (N, 3, H, W); see `decode_all`.

    Returns:
        Pictures that cannot be read, by index; their places are not written.
    """

    def fill(index: int) -> Unreadable | None:
        found = try_decode(pictures, index, size_px=images.shape[-1], preparation=preparation)
        if isinstance(found, Unreadable):
            return found
        images[index] = found
        return None

    return for_each(len(pictures), fill, progress=progress, quiet_s=quiet_s)


def part_of(progress: ProgressCallback | None, *, done: int, total: int) -> ProgressCallback | None:
    """Return a callback that reports the progress of a part as that of the whole."""
    return None if progress is None else lambda more, _: progress(done + more, total)


def for_each(
    total: int,
    look: Callable[[int], Unreadable | None],
    *,
    progress: ProgressCallback | None = None,
    quiet_s: float = 2.0,
) -> dict[int, Unreadable]:
    """Call `look` for 0 to `total` - 1 in threads, and return its findings by index."""

    def some(start: int) -> dict[int, Unreadable]:
        numbers = range(start, min(start + CHUNK, total))
        return {number: bad for number in numbers if (bad := look(number)) is not None}

    found: dict[int, Unreadable] = {}
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # set here because filters are global to the process
        pool = ThreadPoolExecutor()
        try:
            for start, part in zip(
                range(0, total, CHUNK), pool.map(some, range(0, total, CHUNK)), strict=True
            ):
                found |= part
                if progress is not None and time.monotonic() - started >= quiet_s:
                    progress(min(start + CHUNK, total), total)
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C the rest is not needed
    return found


def default_resolution(pictures: Pictures) -> int:
    """Choose a resolution: the median shorter side in px, at most 224, as a multiple of 32 from 32 up.

    Smaller images keep their size, because enlarging them adds cost but no detail. The size of some 200
    evenly spaced images is read; those that cannot be opened are not counted.

    Raises:
        UnreadableError: None of them can be opened.
    """
    median = min(median_side(pictures), MAX_DEFAULT_PX)
    return median - median % 32 if median >= 32 else median


def median_side(pictures: Pictures) -> int:
    """Return the median shorter side of some 200 evenly spaced images, in pixels.

    Raises:
        UnreadableError: None of them can be opened.
    """
    found = [shorter_side(pictures, index) for index in sample(len(pictures))]
    sides = [side for side in found if isinstance(side, int)]
    if not sides:
        raise UnreadableError([one for one in found if isinstance(one, Unreadable)])
    return int(np.median(sides))


def sample(total: int, count: int = SAMPLED_FOR_SIZE) -> range:
    """Return about `count` evenly spaced numbers below `total`.

    >>> list(sample(10, 5)), list(sample(3, 5))
    ([0, 2, 4, 6, 8], [0, 1, 2])
    """
    return range(0, total, max(1, total // count))


def shorter_side(pictures: Pictures, index: int) -> int | Unreadable:
    """Return the shorter side of one picture in pixels, or why it cannot be opened."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with pictures.open(index) as image:
                return min(image.size)
        except Exception as error:  # noqa: BLE001
            return Unreadable(pictures.describe(index), reason(error))
