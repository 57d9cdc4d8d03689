"""List the image files below a folder, and count the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nas.data.image_files.formats import is_image, suffixes, why_left_out
from nas.data.image_files.names import printable

SYSTEM_NAMES = frozenset(
    (
        *("thumbs.db", "desktop.ini", "icon\r"),
        # Folders of small copies and deleted files on network storage, and of systems and archives.
        *("@eadir", "#recycle", "@recycle", "$recycle.bin", "system volume information"),
        *("lost+found", "__macosx"),
    )
)
"""Files and folders that systems put beside the user's, in lower case."""


@dataclass(frozen=True)
class Listed:
    """Files below a folder.

    Attributes:
        images: Sorted paths of image files.
        left_out: Number of other files by suffix, in lower case.
    """

    images: tuple[Path, ...]
    left_out: Counter[str] = field(default_factory=Counter)


def list_images(folder: Path) -> Listed:
    """List the image files below a folder at any depth; see `files_below` for what is ignored.

    Raises:
        OSError: A folder cannot be read.
    """
    known = suffixes()
    images: list[Path] = []
    left_out: Counter[str] = Counter()
    for path in files_below(folder):
        if is_image(path, known):
            images.append(Path(path))
        else:
            left_out[Path(path).suffix.lower()] += 1
    return Listed(tuple(sorted(images)), left_out)


def has_images(folder: Path) -> bool:
    """Return whether there is an image file below a folder.

    Raises:
        OSError: A folder cannot be read.
    """
    known = suffixes()
    return any(is_image(path, known) for path in files_below(folder))


def direct_images(folder: Path) -> int:
    """Count the image files directly in a folder."""
    known = suffixes()
    files = (entry for entry in _entries(folder) if entry.is_file())
    return sum(is_image(entry.path, known) for entry in files)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, except hidden ones and those of systems."""
    return sorted(Path(entry.path) for entry in _entries(folder) if entry.is_dir())


def said_by_suffix(left_out: Counter[str]) -> str:
    """Return counts as text, the largest first.

    >>> said_by_suffix(Counter({".txt": 2, ".pdf": 3}))
    '3 .pdf, 2 .txt'
    """
    return ", ".join(
        f"{count} {printable(suffix) or 'without suffix'}{why_left_out(suffix)}"
        for suffix, count in sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    )


def total(parts: Iterable[Listed]) -> Counter[str]:
    """Sum what was left out of several folders."""
    return sum((part.left_out for part in parts), Counter())


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not passed_over(entry.name)]


def files_below(folder: Path) -> Iterator[str]:
    """Yield the files below a folder at any depth, except hidden ones and those of systems.

    Each folder's files are in alphabetical order and precede those of its folders, to which links are
    followed. A folder that does not exist has none.

    Raises:
        OSError: A folder cannot be read.
    """
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        # A link to a parent folder would loop forever.
        real = os.path.realpath(parent)
        if real in visited:
            folders[:] = []
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not passed_over(name))
        for name in sorted(files):
            if not passed_over(name):
                yield os.path.join(parent, name)  # noqa: PTH118  creating Paths is slower


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def passed_over(name: str) -> bool:
    """Return whether a file or folder is hidden or a system's own.

    >>> passed_over("@eaDir"), passed_over(".git"), passed_over("cat")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in SYSTEM_NAMES
