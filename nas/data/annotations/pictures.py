"""Pictures in files whose targets are boxes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.annotations.rows import padded
from nas.data.image_files.opening import MAX_MEGAPIXELS
from nas.data.image_files.pictures import InFiles
from nas.data.image_files.preparation import Preparation


@dataclass(frozen=True, eq=False)
class BoxPictures(InFiles):
    """Pictures in files, with objects.

    Attributes:
        paths: The files.
        objects: float32 (m, 6) of each: class, x1, y1, x2, y2 as fractions of the upright image, ignored.
        sizes: int64 (N, 2): width and height of each upright image.
        names: See `Pictures.names`.
        max_megapixels: Larger images are refused.
    """

    paths: tuple[Path, ...]
    objects: tuple[NDArray[np.float32], ...]
    sizes: NDArray[np.int64]
    names: tuple[str, ...] | None = None
    max_megapixels: float = MAX_MEGAPIXELS

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def strata(self) -> NDArray[np.int64]:
        """The rarest class in each picture; the number of classes where there is no object."""
        return rarest_classes([rows[:, 0] for rows in self.objects])

    def targets(
        self,
        indices: NDArray[np.int64],
        *,
        size_px: int,  # noqa: ARG002
        preparation: Preparation,  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Return the objects of some pictures, (n, M, 6), at any size: they are stretched to a square.

        M is the largest number of objects in any of the pictures, so that all batches have one shape.
        """
        most = max((len(rows) for rows in self.objects), default=0)
        return padded([self.objects[index] for index in indices.tolist()], most)

    def size_bytes(self, index: int) -> int:
        """Return the size of a picture's file and a digest of its objects, added: either may change."""
        return super().size_bytes(index) + zlib.crc32(self.objects[index].tobytes())

    def original(self, index: int) -> NDArray[np.float32]:
        """Return the objects of one picture, (m, 6)."""
        return self.objects[index]

    def classes_of(self, indices: NDArray[np.int64]) -> set[int]:
        """Return the classes of the objects of some pictures."""
        return {int(one) for index in indices.tolist() for one in self.objects[index][:, 0]}

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of one picture, upright."""
        width, height = self.sizes[index].tolist()
        return width, height


def rarest_classes(classes: list[NDArray[np.float32]]) -> NDArray[np.int64]:
    """Return the rarest of the classes of each image, (N,), by the number of its objects.

    >>> rarest_classes([np.array([0, 1]), np.array([0]), np.array([])])
    array([1, 0, 2])
    """
    every = np.concatenate([np.zeros(0), *classes]).astype(np.int64)
    counts = np.bincount(every, minlength=1)
    found = [
        min(set(of_image.astype(int).tolist()), key=lambda one: (counts[one], one), default=None)
        for of_image in classes
    ]
    return np.array([len(counts) if one is None else one for one in found], np.int64)
