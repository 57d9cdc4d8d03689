"""Labelled images that are still to be decoded: in files, or a part of others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files.names import printable
from nas.data.image_files.opening import MAX_MEGAPIXELS, open_file, open_plain


class Pictures(Protocol):
    """Labelled images still to be decoded; picklable, and safe to read from threads."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every picture (N,)."""
        ...

    def open(self, index: int) -> Image.Image:
        """Return one picture as PIL sees it; its pixels may still be unread."""
        ...

    def open_plain(self, index: int) -> Image.Image | None:
        """Return it without the metadata that may keep it from being opened; None if it has none."""
        ...

    def describe(self, index: int) -> str:
        """Name one picture for an error message, by its path where it has one."""
        ...

    def stamp(self, index: int) -> str:
        """Return what changes when the picture does: a check need not be repeated for the same stamp.

        Raises:
            OSError: there is no such file.
        """
        ...

    @property
    def names(self) -> tuple[str, ...] | None:
        """CLASS/FILE of every picture, whatever split it is in; None for pictures without files."""
        ...

    def size_bytes(self, index: int) -> int:
        """Return how large the file of a named picture is; 0 where it is gone."""
        ...


@dataclass(frozen=True)
class FilePictures:
    """Pictures in files.

    Attributes:
        paths: of the files.
        labels: class indices (N,).
        names: see `Pictures.names`.
        max_megapixels: a larger image is refused.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    names: tuple[str, ...] | None = None
    max_megapixels: float = MAX_MEGAPIXELS

    def open(self, index: int) -> Image.Image:
        """Open the file; reads no more than its header."""
        return open_file(self.paths[index], max_megapixels=self.max_megapixels)

    def open_plain(self, index: int) -> Image.Image | None:
        """Open a copy of the file without its metadata."""
        return open_plain(self.paths[index], max_megapixels=self.max_megapixels)

    def describe(self, index: int) -> str:
        """Return the path."""
        return printable(str(self.paths[index]))

    def stamp(self, index: int) -> str:
        """Return path, size and time of the last change, and the limit that the file was held to."""
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
class SomePictures:
    """The pictures of `whole` at `indices`: one side of a split."""

    whole: Pictures
    indices: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every chosen picture."""
        return self.whole.labels[self.indices]

    @property
    def names(self) -> tuple[str, ...] | None:
        """CLASS/FILE of every chosen picture."""
        names = self.whole.names
        return None if names is None else tuple(names[index] for index in self.indices.tolist())

    def open(self, index: int) -> Image.Image:
        """Open the picture in the whole."""
        return self.whole.open(int(self.indices[index]))

    def open_plain(self, index: int) -> Image.Image | None:
        """Open it in the whole without its metadata."""
        return self.whole.open_plain(int(self.indices[index]))

    def describe(self, index: int) -> str:
        """Name the picture as the whole does."""
        return self.whole.describe(int(self.indices[index]))

    def stamp(self, index: int) -> str:
        """Return the whole's stamp of the picture."""
        return self.whole.stamp(int(self.indices[index]))

    def size_bytes(self, index: int) -> int:
        """Return the size of its file."""
        return self.whole.size_bytes(int(self.indices[index]))
