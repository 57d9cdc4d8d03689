"""Annotated images as the formats' readers return them, before they are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ObjectBox:
    """One annotated object.

    Attributes:
        name: Its class.
        corners: x1, y1, x2, y2: in pixels of the size that the annotation states, or as fractions of the
            image's width and height.
        ignored: Whether it counts neither as found nor as missed: Pascal VOC's `difficult`, COCO's
            `iscrowd`.
    """

    name: str
    corners: tuple[float, float, float, float]
    ignored: bool = False


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its objects.

    Attributes:
        image: The image's file.
        annotation: The file that annotates it, or the place in one; for messages.
        objects: Its objects; none is fine.
        size: Width and height that the annotation states; None if corners are fractions, or if it states
            none.
        fractions: Whether corners are fractions of the image's width and height.
    """

    image: Path
    annotation: str
    objects: tuple[ObjectBox, ...]
    size: tuple[int, int] | None = None
    fractions: bool = False


@dataclass(frozen=True)
class Problem:
    """Something wrong with an annotation.

    Attributes:
        where: The annotation, or the image without one.
        what: The value and what is wrong with it, in a few words.
    """

    where: str
    what: str


@dataclass(frozen=True)
class Annotated:
    """What the files of a data set say, before it is checked.

    Attributes:
        splits: Annotated images of `train`, and of `val` and `test` where there are any.
        problems: What could not be read.
        classes: The list of classes, if there is one.
        notes: What the user should know about how the files were read, one line each.
    """

    splits: Mapping[str, Sequence[AnnotatedImage]]
    problems: tuple[Problem, ...]
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
