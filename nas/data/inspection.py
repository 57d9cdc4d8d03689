"""Look through a data set: counts, sizes, images that cannot be read, copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.image_files.decode import (
    ProgressCallback,
    decode_into,
    for_each,
    part_of,
    sample,
    shorter_side,
)
from nas.data.image_files.opening import reason
from nas.data.image_files.pictures import Pictures
from nas.data.image_files.unreadable import Unreadable, UnreadableError
from nas.data.regions import Regions
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
    """One image of a group of copies; its label names all classes that are in it."""

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
        """Whether some have other classes: then some are labelled wrongly."""
        return len({member.label for member in self.members}) > 1


@dataclass(frozen=True)
class Inspection:
    """What a data set holds.

    Attributes:
        classes: Names of the classes.
        regions: What is annotated in each image, by split.
        sides: Shortest, median and longest shorter side of some 2000 images, in pixels.
        unreadable: Images that cannot be read.
        copies: Groups of images that look the same.
    """

    classes: tuple[str, ...]
    regions: Mapping[str, tuple[Regions, ...]]
    sides: tuple[int, int, int]
    unreadable: tuple[Unreadable, ...]
    copies: tuple[Copies, ...]

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        """Number of images that have each class, by split."""
        return {
            split: tuple(len(self.having(split, index)) for index, _ in enumerate(self.classes))
            for split in self.regions
        }

    def having(self, split: str, class_: int | None) -> list[int]:
        """Return the indices of the images of a split that have a class, or that have none at all."""
        found = (one.counted() for one in self.regions[split])
        return [
            index
            for index, classes in enumerate(found)
            if (class_ in classes if class_ is not None else not len(classes))
        ]

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Classes without images, by split."""
        return {
            split: tuple(
                name for name, count in zip(self.classes, counts, strict=True) if count == 0
            )
            for split, counts in self.counts.items()
        }


def inspect(
    source: ImageSource,
    *,
    regions: Callable[[NDArray[Any]], Regions],
    progress: ProgressCallback | None = None,
) -> Inspection:
    """Decode every image of a data set at 16 px, and describe what is found.

    Args:
        source: The images.
        regions: Reads the target of an image; see `nas.tasks.task.Task.regions`.
        progress: Called with (images done, total) once the work has taken two seconds.

    Raises:
        InputError: No image can be read.
    """
    total = sum(len(part) for part in source.pictures.values())
    done, bad = 0, list(source.left_out)
    small: list[NDArray[np.uint8]] = []
    members: list[Member] = []
    annotated: dict[str, tuple[Regions, ...]] = {}
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
        annotated[split] = _annotated(part, regions)
        members += [
            Member(split, _label(annotated[split][index], source.classes), part.describe(index))
            for index in good
        ]
    groups = copies(np.concatenate(small))
    return Inspection(
        classes=source.classes,
        regions=annotated,
        sides=_sides(list(source.pictures.values())),
        unreadable=tuple(bad),
        copies=tuple(Copies(tuple(members[index] for index in group)) for group in groups),
    )


def _annotated(part: Pictures, regions: Callable[[NDArray[Any]], Regions]) -> tuple[Regions, ...]:
    """Read what is annotated in every picture, in threads: masks are files.

    Raises:
        UnreadableError: Annotations cannot be read; all of them are listed.
    """
    found: dict[int, Regions] = {}

    def look(index: int) -> Unreadable | None:
        try:
            found[index] = regions(part.original(index))
        except (OSError, ValueError) as error:
            return Unreadable(part.describe(index), f"its annotation: {reason(error)}")
        return None

    bad = for_each(len(part), look)
    if bad:
        raise UnreadableError(list(bad.values()))
    return tuple(found[index] for index in range(len(part)))


def _label(regions: Regions, classes: Sequence[str]) -> str:
    """Name the classes in an image."""
    return ", ".join(classes[index] for index in sorted(set(regions.counted().tolist())))


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
