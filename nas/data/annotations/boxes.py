"""Check the annotations of a data set, and turn them into pictures with boxes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nas.data.annotations.checked import class_names, rows
from nas.data.annotations.objects import Annotated, AnnotatedImage, Problem
from nas.data.annotations.pictures import BoxPictures
from nas.data.annotations.problems import AnnotationError
from nas.data.image_files.names import printable
from search_spaces.errors import InputError


def checked_boxes(
    found: Annotated, *, root: Path, max_megapixels: float
) -> tuple[tuple[str, ...], Mapping[str, BoxPictures]]:
    """Return the classes of a data set, and the pictures of each split.

    Classes are those of the data set's list, or else of train's objects in alphabetical order.

    Raises:
        AnnotationError: Annotations cannot be used; all problems are listed.
        InputError: There is no image or no object to train on.
    """
    where = printable(str(root))
    if not found.problems and not found.splits.get("train"):
        raise InputError(f"{where} has no annotated training images")
    classes = found.classes or class_names(found.splits.get("train", ()))
    index = {name: number for number, name in enumerate(classes)}
    problems = list(found.problems)
    splits = {
        split: _pictures(images, index, problems, root=root, max_megapixels=max_megapixels)
        for split, images in found.splits.items()
    }
    if problems:
        raise AnnotationError(where, problems)
    if not any(len(one) for one in splits["train"].objects):
        raise InputError(f"{where}: no training image has an object: annotate some")
    return classes, splits


def _pictures(
    images: Sequence[AnnotatedImage],
    index: Mapping[str, int],
    problems: list[Problem],
    *,
    root: Path,
    max_megapixels: float,
) -> BoxPictures:
    objects, sizes = [], []
    for one in images:
        found, size, wrong = rows(one, index, max_megapixels=max_megapixels)
        objects.append(found)
        sizes.append(size)
        problems += wrong
    return BoxPictures(
        paths=tuple(one.image for one in images),
        objects=tuple(objects),
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        names=tuple(printable(os.path.relpath(one.image, root)) for one in images),
        max_megapixels=max_megapixels,
    )
