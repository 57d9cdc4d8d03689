"""Look through a data set: counts, sizes, images that cannot be read, copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.image_files.decode import (
    ProgressCallback,
    decode_into,
    part_of,
    sample,
    shorter_side,
)
from nas.data.image_files.pictures import Pictures
from nas.data.image_files.unreadable import Unreadable
from nas.data.source import ImageSource

COMPARED_PX = 16
"""Side at which images are compared: enough to tell photos apart, and a copy saved anew is still alike."""

ALIKE = 5.0
"""Root mean square difference, in levels of 255, below which two images are copies."""

FLAT = 2.0
"""Standard deviation, in levels of 255, below which an image shows nothing that could be compared."""

BLOCK = 1024
"""Images compared with all others at once."""

SIDES_READ = 2000
"""Number of images whose size is read."""


@dataclass(frozen=True)
class Member:
    """One image of a group of copies."""

    split: str
    label: str
    name: str


@dataclass(frozen=True)
class Copies:
    """Images that look the same."""

    members: tuple[Member, ...]

    @property
    def across_splits(self) -> bool:
        """Whether some are in another split: test images that a network has been trained on."""
        return len({member.split for member in self.members}) > 1

    @property
    def across_classes(self) -> bool:
        """Whether some have another class: then all but one are labelled wrongly."""
        return len({member.label for member in self.members}) > 1


@dataclass(frozen=True)
class Inspection:
    """What a data set holds.

    Attributes:
        classes: Names of the classes.
        counts: Number of images of each class, by split.
        sides: Shortest, median and longest shorter side of some 2000 images, in pixels.
        unreadable: Images that cannot be read.
        copies: Groups of images that look the same.
    """

    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    sides: tuple[int, int, int]
    unreadable: tuple[Unreadable, ...]
    copies: tuple[Copies, ...]

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Classes without images, by split."""
        return {
            split: tuple(
                name for name, count in zip(self.classes, counts, strict=True) if count == 0
            )
            for split, counts in self.counts.items()
        }


def inspect(source: ImageSource, *, progress: ProgressCallback | None = None) -> Inspection:
    """Decode every image of a data set at 16 px, and describe what is found.

    Args:
        source: The images.
        progress: Called with (images done, total) once the work has taken two seconds.

    Raises:
        InputError: No image can be read.
    """
    total = sum(len(part) for part in source.pictures.values())
    done, bad = 0, list(source.left_out)
    small: list[NDArray[np.uint8]] = []
    members: list[Member] = []
    for split, part in source.pictures.items():
        images = np.zeros((len(part), 3, COMPARED_PX, COMPARED_PX), np.uint8)
        found = decode_into(
            images,
            part,
            source.preparation.whole(),
            progress=part_of(progress, done=done, total=total),
        )
        done += len(part)
        bad += found.values()
        good = [index for index in range(len(part)) if index not in found]
        small.append(images[good])
        members += [
            Member(split, source.classes[int(part.strata[index])], part.describe(index))
            for index in good
        ]
    groups = copies(np.concatenate(small))
    return Inspection(
        classes=source.classes,
        counts={
            split: tuple(np.bincount(part.strata, minlength=len(source.classes)).tolist())
            for split, part in source.pictures.items()
        },
        sides=_sides(list(source.pictures.values())),
        unreadable=tuple(bad),
        copies=tuple(Copies(tuple(members[index] for index in group)) for group in groups),
    )


def copies(images: NDArray[np.uint8]) -> list[list[int]]:
    """Group images that look the same; images of a single color are never grouped.

    Args:
        images: (N, 3, H, W).

    Returns:
        Indices of each group of two or more, in order.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    shown = np.flatnonzero(flat.std(axis=1) >= FLAT)
    parent = np.arange(len(images))

    def root(index: int) -> int:
        while parent[index] != index:
            index = int(parent[index])
        return index

    for one, other in _pairs(flat[shown]):
        first, second = sorted((root(int(shown[one])), root(int(shown[other]))))
        parent[second] = first
    groups: dict[int, list[int]] = {}
    for index in range(len(images)):
        groups.setdefault(root(index), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _pairs(rows: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Yield all pairs of rows (N, D) whose root mean square difference is below `ALIKE`."""
    squares = (rows**2).sum(axis=1)
    limit = ALIKE**2 * rows.shape[1] if rows.size else 0.0
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        # |a - b|^2 = |a|^2 - 2ab + |b|^2, of which float32 loses less than the limit at 16 px.
        distance = squares[start : start + BLOCK, None] - 2 * block @ rows.T + squares
        near = np.argwhere(distance < limit)
        for one, other in near.tolist():
            if start + one < other and ((block[one] - rows[other]) ** 2).sum() < limit:
                yield start + one, other


def _sides(parts: Sequence[Pictures]) -> tuple[int, int, int]:
    """Return the shortest, median and longest shorter side of evenly spaced images."""
    found = (
        shorter_side(part, index)
        for part in parts
        for index in sample(len(part), SIDES_READ // len(parts))
    )
    sides = [side for side in found if isinstance(side, int)]  # the others are listed as unreadable
    if not sides:
        return 0, 0, 0
    return min(sides), int(np.median(sides)), max(sides)
