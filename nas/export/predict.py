"""Classify images without labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.folders.listing import files_below
from nas.data.image_files.decode import FilePictures, try_decode
from nas.data.image_files.formats import is_image, suffixes
from nas.data.image_files.names import printable
from nas.data.image_files.unreadable import Unreadable
from nas.export.models import Model
from search_spaces import InputError

AT_ONCE = 32


@dataclass(frozen=True)
class Guess:
    """A class that an image may belong to.

    Attributes:
        index: Index of the class.
        name: Name of the class.
        probability: 0..1.
    """

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Predicted:
    """Prediction for one image.

    Attributes:
        path: The image.
        top: The most likely classes, best first; empty if the image cannot be read.
        error: Why it cannot be read.
    """

    path: Path
    top: tuple[Guess, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Pictures:
    """Images to classify.

    Attributes:
        paths: In the given order; those of a folder in alphabetical order.
        left_out: Number of files in folders whose names are not those of images.
    """

    paths: tuple[Path, ...]
    left_out: int = 0


def predictions(model: Model, paths: Sequence[Path], *, top: int) -> Iterator[Predicted]:
    """Classify images in batches; images that cannot be read yield an error.

    Args:
        model: The network.
        paths: The images.
        top: Number of classes for each image.
    """
    pictures = FilePictures(tuple(paths), np.zeros(len(paths), np.int64))
    feed = model.feed

    def read(index: int) -> NDArray[np.uint8] | Unreadable:
        return try_decode(pictures, index, size_px=feed.size_px, preparation=feed.usage.preparation)

    with ThreadPoolExecutor() as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about irrelevant metadata
        left = iter(range(len(paths)))
        while chosen := list(islice(left, AT_ONCE)):
            images = list(pool.map(read, chosen))
            good = [image for image in images if not isinstance(image, Unreadable)]
            shares = iter(model.probabilities(np.stack(good)) if good else ())
            for index, image in zip(chosen, images, strict=True):
                if isinstance(image, Unreadable):
                    yield Predicted(paths[index], error=f"cannot be read: {image.reason}")
                else:
                    yield Predicted(paths[index], _top(next(shares), feed.classes, top))


def find_pictures(given: Iterable[Path]) -> Pictures:
    """Collect images: a file counts itself, a folder all files below it with the name of an image.

    Raises:
        InputError: A path does not exist, a folder cannot be read, or there are no images below them.
    """
    paths = list(given)
    if not any(path.exists() for path in paths):
        raise InputError(f"{paths[0]} does not exist: give an image, or a folder with images")
    found: list[Path] = []
    left_out = 0
    known = suffixes()
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        files = _files(path)
        images = [file for file in files if not file.exists() or is_image(str(file), known)]
        found += images
        left_out += len(files) - len(images)
    if not found:
        raise InputError(
            f"{paths[0]} has no images below it: give an image, or a folder with images"
        )
    return Pictures(tuple(found), left_out)


def _files(folder: Path) -> list[Path]:
    """Return the files below a folder.

    Raises:
        InputError: A folder cannot be read.
    """
    try:
        paths = map(Path, files_below(folder))
        # Broken links are reported; a pipe would block.
        return [path for path in paths if path.is_file() or not path.exists()]
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise InputError(f"{where}: {error.strerror}: give folders that can be read") from error


def _top(shares: NDArray[np.float32], classes: tuple[str, ...], count: int) -> tuple[Guess, ...]:
    order = np.argsort(-shares, kind="stable")[:count].tolist()
    return tuple(Guess(index, classes[index], float(shares[index])) for index in order)
