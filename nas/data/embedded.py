"""The data set in the package: 15,000 images of Fashion-MNIST, equally many of each class."""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAME = "fashion-mnist-subset"

_ASSET = files("nas.data") / "assets" / "fashion_mnist_subset.npz"


@dataclass(frozen=True)
class GreyPictures:
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
    """Return the class names, and train (10,000), val (2,500) and test (2,500), all of 28 px.

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


def embedded_classes() -> tuple[str, ...]:
    """Return the class names, without reading the images."""
    with _ASSET.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return tuple(str(name) for name in arrays["classes"])
