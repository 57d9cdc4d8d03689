"""From image files to square uint8 arrays, many at a time."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from search_spaces.errors import InputError

ProgressCallback = Callable[[int, int], None]  # done, total

MAX_DEFAULT_PX = 224
SAMPLED_FOR_SIZE = 200
BACKGROUND = "white"
CHUNK = 32  # images a task of the pool decodes: one at a time, small ones cost more to hand out


class Pictures(Protocol):
    """Labelled images still to be decoded; picklable, and safe to read from threads."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every picture (N,)."""
        ...

    def open(self, index: int) -> Image.Image:
        """Return one picture as PIL sees it; its pixels may still be unread."""
        ...

    def describe(self, index: int) -> str:
        """Name one picture for an error message, by its path where it has one."""
        ...


@dataclass(frozen=True)
class FilePictures:
    """Pictures in files."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    def open(self, index: int) -> Image.Image:
        """Open the file; reads no more than its header."""
        return Image.open(self.paths[index])

    def describe(self, index: int) -> str:
        """Return the path."""
        return str(self.paths[index])


@dataclass(frozen=True)
class SomePictures:
    """The pictures of `whole` at `indices`: one side of a split."""

    whole: Pictures
    indices: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every chosen picture."""
        return self.whole.labels[self.indices]

    def open(self, index: int) -> Image.Image:
        """Open the picture in the whole."""
        return self.whole.open(int(self.indices[index]))

    def describe(self, index: int) -> str:
        """Name the picture as the whole does."""
        return self.whole.describe(int(self.indices[index]))


def square_rgb(image: Image.Image, size_px: int, *, background: str = BACKGROUND) -> Image.Image:
    """Turn upright (EXIF), make RGB, scale the shorter side to `size_px` and cut the centre square.

    Transparent pixels are laid on `background`, a colour as PIL's `ImageColor` names it.

    >>> square_rgb(Image.new("L", (40, 20)), 10).size
    (10, 10)
    """
    # JPEG can decode at a half, quarter or eighth; twice the target leaves the filter enough.
    image.draft("RGB", (2 * size_px, 2 * size_px))
    rgb = _to_rgb(ImageOps.exif_transpose(image), background)
    width, height = rgb.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    if side == size_px:
        return rgb.crop(box)
    return rgb.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box)


def _to_rgb(image: Image.Image, background: str) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        # PIL clips 16-bit grey to 255; what is wanted is the upper byte.
        grey = np.asarray(image, dtype=np.int64)
        return Image.fromarray((grey >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, ImageColor.getrgb(background))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def decode(
    pictures: Pictures, index: int, *, size_px: int, background: str = BACKGROUND
) -> NDArray[np.uint8]:
    """Return one picture as uint8 (3, size_px, size_px).

    Raises:
        InputError: the image cannot be read, is cut short or is absurdly large.
    """
    with _named(pictures, index), pictures.open(index) as image:
        pixels = np.asarray(square_rgb(image, size_px, background=background))  # (H, W, 3)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextlib.contextmanager
def _named(pictures: Pictures, index: int) -> Iterator[None]:
    """Turn what PIL's decoders raise for a broken file into one line that names it."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(
            f"cannot read image {pictures.describe(index)} ({_reason(error)}): replace or remove it"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def decode_all(
    pictures: Pictures,
    *,
    size_px: int,
    background: str = BACKGROUND,
    progress: ProgressCallback | None = None,
    quiet_s: float = 2.0,
) -> NDArray[np.uint8]:
    """Decode every picture with a pool of threads (PIL frees the interpreter while it decodes).

    Args:
        pictures: what to decode.
        size_px: height and width of the result.
        background: what transparent pixels are laid on.
        progress: called with (done, total), but only once the work has taken `quiet_s` seconds.
        quiet_s: seconds of work before the first call.

    Returns:
        uint8 (N, 3, size_px, size_px).

    Raises:
        InputError: an image cannot be read.
    """
    total = len(pictures.labels)
    images = np.empty((total, 3, size_px, size_px), np.uint8)

    def fill(start: int) -> int:
        stop = min(start + CHUNK, total)
        for index in range(start, stop):
            images[index] = decode(pictures, index, size_px=size_px, background=background)
        return stop

    started = time.monotonic()
    pool = ThreadPoolExecutor()
    try:
        for done in pool.map(fill, range(0, total, CHUNK)):
            if progress is not None and time.monotonic() - started >= quiet_s:
                progress(done, total)
    finally:
        # After an unreadable image the rest need not be decoded.
        pool.shutdown(cancel_futures=True)
    return images


def default_resolution(pictures: Pictures) -> int:
    """Choose a resolution in px: the median shorter side, at most 224, a multiple of 32 from 32 up.

    Smaller images keep their size: stretching them adds cost and no detail. Some 200 images,
    spread evenly, are asked for their size.

    Raises:
        InputError: an image cannot be read.
    """
    total = len(pictures.labels)
    step = max(1, total // SAMPLED_FOR_SIZE)
    sides = [_shorter_side(pictures, index) for index in range(0, total, step)]
    median = min(int(np.median(sides)), MAX_DEFAULT_PX)
    return median - median % 32 if median >= 32 else median


def _shorter_side(pictures: Pictures, index: int) -> int:
    with _named(pictures, index), pictures.open(index) as image:
        return min(image.size)
