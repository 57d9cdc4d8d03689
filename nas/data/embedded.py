"""The data sets in the package: 1,431 photos of 15 varieties of fruit, and a subset of Fashion-MNIST."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files.pictures import Labelled
from search_spaces.errors import InputError

NAME = "fashion-mnist-subset"

PHOTOS = "fruit-photos"

NAMES = (PHOTOS, NAME)

_ASSET = files("nas.data") / "assets" / "fashion_mnist_subset.npz"
_PHOTOS = files("nas.data") / "assets" / "fruit_photos"


@dataclass(frozen=True)
class GreyPictures(Labelled):
    """Grey images in memory.

    Attributes:
        images: uint8 (N, H, W).
        labels: int64 (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def open(self, index: int) -> Image.Image:
        """Return one image in PIL's mode L."""
        return Image.fromarray(self.images[index])

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of one image."""
        return self.open(index).size

    def describe(self, index: int) -> str:
        """Name the image by its number."""
        return f"{NAME} #{index}"

    @property
    def names(self) -> None:
        """Return None: there are no files."""

    def open_plain(self, index: int) -> None:
        """Return None: there is no metadata."""

    def stamp(self, index: int) -> str:
        """Return the image's number: the package does not change."""
        return f"{NAME}|{index}"

    def size_bytes(self, index: int) -> int:  # noqa: ARG002
        """Return 0: there are no files."""
        return 0


def read_embedded() -> tuple[tuple[str, ...], dict[str, GreyPictures]]:
    """Return Fashion-MNIST's class names, train (10,000), val (2,500) and test (2,500), all of 28 px.

    Train and val come from the source's training images, test from its test images.
    """
    with _ASSET.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        pictures = {
            split: GreyPictures(
                arrays[f"{split}_images"], arrays[f"{split}_labels"].astype(np.int64)
            )
            for split in ("train", "val", "test")
        }
        return tuple(str(name) for name in arrays["classes"]), pictures


def photo_folder() -> Path:
    """Return the folder of the photos, with train, val and test.

    Raises:
        InputError: The package is not installed as files.
    """
    folder = Path(str(_PHOTOS))
    if not folder.is_dir():
        raise InputError(f"{PHOTOS} is missing: install the package as files, not as a zip archive")
    return folder


def embedded_name(classes: tuple[str, ...]) -> str | None:
    """Return the embedded data set that has these classes; None if neither has."""
    if classes == tuple(sorted(folder.name for folder in (photo_folder() / "train").iterdir())):
        return PHOTOS
    with _ASSET.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return NAME if classes == tuple(str(name) for name in arrays["classes"]) else None
