"""A folder of annotated images, and which of several formats it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from nas.data.image_files.names import printable
from search_spaces.errors import InputError

PicturesT = TypeVar("PicturesT")
ReadT = TypeVar("ReadT")

Formats = Mapping[str, tuple[Callable[[Path], object], Callable[[Path], ReadT]]]
"""How to recognize and how to read each format; the first one that is recognized is read."""


class AnnotatedFolder(NamedTuple, Generic[PicturesT]):
    """A folder of annotated images.

    Attributes:
        format: How it is annotated, such as `COCO`.
        classes: Class names; annotations have indices into them.
        splits: The pictures of `train`, and of `val` and `test` where there are any.
        notes: What the user should know about how the folder was read, one line each.
    """

    format: str
    classes: tuple[str, ...]
    splits: Mapping[str, PicturesT]
    notes: tuple[str, ...] = ()


def recognized(root: Path, formats: Formats[ReadT]) -> str | None:
    """Return the format of a folder; None if it has none of these, or cannot be read."""
    try:
        return next((name for name, (has, _) in formats.items() if has(root)), None)
    except (OSError, ValueError):  # also of a name that no file system has
        return None


def read_recognized(root: Path, formats: Formats[ReadT], *, missing: str) -> tuple[str, ReadT]:
    """Return the format of a folder, and what its reader returns.

    Args:
        root: The folder.
        formats: The formats.
        missing: What is wrong with a folder of none of them.

    Raises:
        InputError: The folder has none of the formats, or cannot be read.
    """
    name = recognized(root, formats)
    if name is None:
        raise InputError(f"{printable(str(root))} {missing}")
    try:
        return name, formats[name][1](root)
    except OSError as error:
        place = printable(str(error.filename or root))
        raise InputError(f"{place}: {error.strerror}: give files that can be read") from error
