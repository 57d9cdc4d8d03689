"""Check annotated objects against their images and turn them into rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.annotations.objects import AnnotatedImage, ObjectBox, Problem
from nas.data.image_files.orientation import SWAPPED, TURNS
from nas.data.image_files.stored_size import Stored, stored

SLACK_PX = 2.0
"""A box may end this far outside of the image, and is cut: tools round, and VOC counts from 1."""

Corners = tuple[float, float, float, float]


class WrongError(ValueError):
    """What is wrong with an annotation, in a few words."""


class CheckedImage(NamedTuple):
    """An image's objects.

    Attributes:
        rows: float32 (m, 6): class, x1, y1, x2, y2 as fractions of the upright image, ignored.
        size: Width and height of the upright image.
        problems: What is wrong with the others.
    """

    rows: NDArray[np.float32]
    size: tuple[int, int]
    problems: list[Problem]


def check(
    one: AnnotatedImage, classes: Mapping[str, int], *, max_megapixels: float
) -> CheckedImage:
    """Check an image's objects.

    Boxes that end less than two pixels outside of the image are cut. A photo that EXIF turns may be
    annotated as it is stored or as it is seen; the size that the annotation states tells which.

    A photo that cannot be opened is left to the check of all images: until then its objects cover the whole
    of it and are ignored.
    """
    image = stored(one.image, max_megapixels=max_megapixels)
    if image is None:
        known = [classes[box.name] for box in one.objects if box.name in classes]
        rows = np.array([(class_, 0, 0, 1, 1, 1) for class_ in known], np.float32)
        return CheckedImage(rows.reshape(-1, 6), (1, 1), [])
    upright = image.size[::-1] if image.orientation in SWAPPED else image.size
    try:
        turn = _turn(one, image, upright)
    except WrongError as error:
        nothing = np.zeros((0, 6), np.float32)
        return CheckedImage(nothing, (1, 1), [Problem(one.annotation, str(error))])
    found, problems = [], []
    for number, box in enumerate(one.objects, start=1):
        try:
            corners = turned(_fractions(box, one, image.size if turn else upright), turn)
            _require_area(box, corners)
            class_ = _class_index(box, classes)
        except WrongError as error:
            problems.append(Problem(one.annotation, f"object {number} ({box.name}): {error}"))
            continue
        found.append((class_, *corners, float(box.ignored)))
    return CheckedImage(np.array(found, np.float32).reshape(-1, 6), upright, problems)


def _turn(one: AnnotatedImage, image: Stored, upright: tuple[int, int]) -> int:
    """Return the orientation by which to turn the boxes; 0 if they fit the upright image."""
    if one.fractions or one.size is None or one.size == upright:
        return 0
    if one.size == image.size:
        return image.orientation
    raise WrongError(
        f"it states {one.size[0]} x {one.size[1]} pixels, {one.image.name} has "
        f"{upright[0]} x {upright[1]}"
    )


def _fractions(box: ObjectBox, one: AnnotatedImage, size: tuple[int, int]) -> Corners:
    width, height = (1.0, 1.0) if one.fractions else map(float, size)
    x1, y1, x2, y2 = box.corners
    said = _said(box)
    if not all(map(math.isfinite, box.corners)):
        raise WrongError(f"corners {said} are not finite")
    if x2 < x1 or y2 < y1:
        raise WrongError(f"corners {said} are swapped")
    if x2 == x1 or y2 == y1:
        raise WrongError(f"box {said} has no area")
    slack_x, slack_y = SLACK_PX * width / size[0], SLACK_PX * height / size[1]
    outside = x1 < -slack_x or y1 < -slack_y or x2 > width + slack_x or y2 > height + slack_y
    if outside:
        shown = "" if one.fractions else f", which is {size[0]} x {size[1]}"
        raise WrongError(f"box {said} leaves the image{shown}")
    return (
        max(x1, 0) / width,
        max(y1, 0) / height,
        min(x2, width) / width,
        min(y2, height) / height,
    )


def _require_area(box: ObjectBox, corners: Corners) -> None:
    """Check that something is left of a box after it is cut and rounded as it is kept."""
    x1, y1, x2, y2 = np.array(corners, np.float32).tolist()
    if x2 <= x1 or y2 <= y1:
        raise WrongError(f"box {_said(box)} has no area inside the image")


def _said(box: ObjectBox) -> str:
    x1, y1, x2, y2 = box.corners
    return f"({x1:g}, {y1:g})-({x2:g}, {y2:g})"


def _class_index(box: ObjectBox, classes: Mapping[str, int]) -> int:
    try:
        return classes[box.name]
    except KeyError:
        raise WrongError("its class is not in the list of classes") from None


def turned(corners: Corners, orientation: int) -> Corners:
    """Turn a box with its image from how it is stored to upright.

    >>> turned((0.0, 0.0, 0.25, 0.5), 6)  # a quarter turn clockwise: the top left goes to the top right
    (0.5, 0.0, 1.0, 0.25)
    """
    x1, y1, x2, y2 = corners
    match TURNS.get(orientation):
        case Image.Transpose.FLIP_LEFT_RIGHT:
            return 1 - x2, y1, 1 - x1, y2
        case Image.Transpose.ROTATE_180:
            return 1 - x2, 1 - y2, 1 - x1, 1 - y1
        case Image.Transpose.FLIP_TOP_BOTTOM:
            return x1, 1 - y2, x2, 1 - y1
        case Image.Transpose.TRANSPOSE:
            return y1, x1, y2, x2
        case Image.Transpose.ROTATE_270:
            return 1 - y2, x1, 1 - y1, x2
        case Image.Transpose.TRANSVERSE:
            return 1 - y2, 1 - x2, 1 - y1, 1 - x1
        case Image.Transpose.ROTATE_90:
            return y1, 1 - x2, y2, 1 - x1
        case _:
            return corners


def class_names(images: Sequence[AnnotatedImage]) -> tuple[str, ...]:
    """Return the classes of annotated images in alphabetical order."""
    return tuple(sorted({box.name for one in images for box in one.objects}))
