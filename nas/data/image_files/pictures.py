"""Labelled images that are not decoded yet: in files, or a subset of others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files.names import printable
from nas.data.image_files.opening import MAX_MEGAPIXELS, open_file, open_plain
from nas.data.image_files.orientation import SWAPPED, orientation_of
from nas.data.image_files.preparation import Preparation


class Pictures(Protocol):
    """Labelled images that are not decoded yet; picklable, and safe to read from threads."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    @property
    def strata(self) -> NDArray[np.int64]:
        """Group of every picture (N,), such as its class: of each, the same fraction is held out."""
        ...

    def targets(
        self, indices: NDArray[np.int64], *, size_px: int, preparation: Preparation
    ) -> NDArray[Any]:
        """Return what a network learns of some pictures, one entry of the first dimension each.

        Args:
            indices: Of the pictures, (n,).
            size_px: Height and width that they are decoded at.
            preparation: How they are decoded.
        """
        ...

    def original(self, index: int) -> NDArray[Any]:
        """Return what is annotated in one picture, at its own size: the target of one image, (...)."""
        ...

    def classes_of(self, indices: NDArray[np.int64]) -> set[int]:
        """Return the classes that some pictures have, as far as they are known without reading files."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of one picture, upright."""
        ...

    def open(self, index: int) -> Image.Image:
        """Return one picture as PIL opens it; its pixels may not be read yet."""
        ...

    def open_plain(self, index: int) -> Image.Image | None:
        """Return it without metadata, which may keep it from being opened; None if it has none."""
        ...

    def describe(self, index: int) -> str:
        """Name one picture for an error message, by its path if it has one."""
        ...

    def stamp(self, index: int) -> str:
        """Return a string that changes with the picture; the same stamp needs no second check.

        Raises:
            OSError: The file is missing.
        """
        ...

    @property
    def names(self) -> tuple[str, ...] | None:
        """CLASS/FILE of every picture, whatever its split; None for pictures without files."""
        ...

    def size_bytes(self, index: int) -> int:
        """Return the size of a picture's file; 0 if it is gone."""
        ...


class Labelled:
    """What pictures of classes share: the target of one is its class index."""

    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def strata(self) -> NDArray[np.int64]:
        """The class index of every picture."""
        return self.labels

    def targets(
        self,
        indices: NDArray[np.int64],
        *,
        size_px: int,  # noqa: ARG002
        preparation: Preparation,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """Return the class indices of some pictures, (n,), at any size."""
        return self.labels[indices]

    def original(self, index: int) -> NDArray[np.int64]:
        """Return the class index of one picture, ()."""
        return self.labels[index, ...]

    def classes_of(self, indices: NDArray[np.int64]) -> set[int]:
        """Return the class indices of some pictures."""
        return set(self.labels[indices].tolist())


class InFiles:
    """What pictures in files share."""

    paths: tuple[Path, ...]
    max_megapixels: float

    def open(self, index: int) -> Image.Image:
        """Open the file, reading only its header."""
        return open_file(self.paths[index], max_megapixels=self.max_megapixels)

    def open_plain(self, index: int) -> Image.Image | None:
        """Open a copy of the file without its metadata."""
        return open_plain(self.paths[index], max_megapixels=self.max_megapixels)

    def size(self, index: int) -> tuple[int, int]:
        """Read the size from the file's header."""
        with self.open(index) as image:
            width, height = image.size
            turned = orientation_of(image.info) in SWAPPED
        return (height, width) if turned else (width, height)

    def describe(self, index: int) -> str:
        """Return the path."""
        return printable(str(self.paths[index]))

    def stamp(self, index: int) -> str:
        """Return path, size, modification time and size limit."""
        path = self.paths[index]
        found = path.stat()
        where = os.path.abspath(path)  # noqa: PTH100  resolving would follow links
        return f"{where}|{found.st_size}|{found.st_mtime_ns}|{self.max_megapixels:g}"

    def size_bytes(self, index: int) -> int:
        """Return the file's size."""
        try:
            return self.paths[index].stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True)
class FilePictures(InFiles, Labelled):
    """Pictures of classes in files.

    Attributes:
        paths: The files.
        labels: Class indices (N,).
        names: See `Pictures.names`.
        max_megapixels: Larger images are refused.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    names: tuple[str, ...] | None = None
    max_megapixels: float = MAX_MEGAPIXELS


@dataclass(frozen=True)
class SomePictures:
    """The pictures of `whole` at `indices`, for instance one part of a split."""

    whole: Pictures
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def strata(self) -> NDArray[np.int64]:
        """Group of every chosen picture."""
        return self.whole.strata[self.indices]

    def targets(
        self, indices: NDArray[np.int64], *, size_px: int, preparation: Preparation
    ) -> NDArray[Any]:
        """Return the targets of some of the chosen pictures."""
        chosen = self.indices[indices]
        return self.whole.targets(chosen, size_px=size_px, preparation=preparation)

    def original(self, index: int) -> NDArray[Any]:
        """Return what is annotated in the picture, at its own size."""
        return self.whole.original(int(self.indices[index]))

    def classes_of(self, indices: NDArray[np.int64]) -> set[int]:
        """Return the known classes of some of the chosen pictures."""
        return self.whole.classes_of(self.indices[indices])

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of the picture, upright."""
        return self.whole.size(int(self.indices[index]))

    @property
    def names(self) -> tuple[str, ...] | None:
        """CLASS/FILE of every chosen picture."""
        names = self.whole.names
        return None if names is None else tuple(names[index] for index in self.indices.tolist())

    def open(self, index: int) -> Image.Image:
        """Open the picture."""
        return self.whole.open(int(self.indices[index]))

    def open_plain(self, index: int) -> Image.Image | None:
        """Open the picture without its metadata."""
        return self.whole.open_plain(int(self.indices[index]))

    def describe(self, index: int) -> str:
        """Name the picture as the whole does."""
        return self.whole.describe(int(self.indices[index]))

    def stamp(self, index: int) -> str:
        """Return the picture's stamp."""
        return self.whole.stamp(int(self.indices[index]))

    def size_bytes(self, index: int) -> int:
        """Return the size of its file."""
        return self.whole.size_bytes(int(self.indices[index]))


def labels_of_pictures(pictures: Pictures) -> NDArray[np.int64] | None:
    """Return the class index of every picture, (N,); None if they are not of classes."""
    if isinstance(pictures, SomePictures):
        whole = labels_of_pictures(pictures.whole)
        return None if whole is None else whole[pictures.indices]
    labels: NDArray[np.int64] | None = getattr(pictures, "labels", None)
    return labels
