"""Check the annotations of a data set, and turn them into pictures with boxes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from nas.data.annotations.checked import CheckedImage, check, class_names
from nas.data.annotations.objects import Annotated, AnnotatedImage, Problem
from nas.data.annotations.pictures import BoxPictures
from nas.data.annotations.problems import AnnotationError
from nas.data.image_files.decode import ProgressCallback, for_each
from nas.data.image_files.names import printable
from search_spaces.errors import InputError


def checked_boxes(
    found: Annotated,
    *,
    root: Path,
    max_megapixels: float,
    progress: ProgressCallback | None = None,
) -> tuple[tuple[str, ...], Mapping[str, BoxPictures]]:
    """Return the classes of a data set, and the pictures of each split.

    Classes are those of the data set's list, or else of train's objects in alphabetical order.

    Args:
        found: The data set.
        root: Its folder.
        max_megapixels: Larger images are refused.
        progress: Called with (images looked at, total) once the work has taken two seconds.

    Raises:
        AnnotationError: Annotations cannot be used; all problems are listed.
        InputError: There is no image or no object to train on.
    """
    where = printable(str(root))
    if not found.problems and not found.splits.get("train"):
        raise InputError(f"{where} has no annotated training images")
    classes = found.classes or class_names(found.splits.get("train", ()))
    index = {name: number for number, name in enumerate(classes)}
    images = [one for part in found.splits.values() for one in part]
    checked: dict[int, CheckedImage] = {}

    def look(number: int) -> None:
        checked[number] = check(images[number], index, max_megapixels=max_megapixels)

    for_each(len(images), look, progress=progress)
    problems = [*found.problems, *(one for at in sorted(checked) for one in checked[at].problems)]
    if problems:
        raise AnnotationError(where, problems)
    every = iter([checked[number] for number in range(len(images))])
    splits = {
        split: _pictures(part, every, root=root, max_megapixels=max_megapixels)
        for split, part in found.splits.items()
    }
    if not any(len(one) for one in splits["train"].objects):
        raise InputError(f"{where}: no training image has an object: annotate some")
    return classes, splits


def without_bare_splits(found: Annotated) -> Annotated:
    """Return a data set without a `val` or `test` in which nothing is annotated, and say so in its notes.

    Averages over no object would read as a network that finds nothing.
    """
    bare = [
        split
        for split, part in found.splits.items()
        if split != "train" and not any(one.objects for one in part)
    ]
    kept = {split: part for split, part in found.splits.items() if split not in bare}
    notes = [f"{split} has no objects and is taken as not given" for split in bare]
    return replace(found, splits=kept, notes=(*found.notes, *notes))


def without_copies(found: Annotated) -> Annotated:
    """Return a data set without splits that have the same images as another, and say so in its notes.

    Small examples name their training images for `val` too. An image that only is in another split as well
    is a problem.
    """
    kept: dict[str, Sequence[AnnotatedImage]] = {}
    first: dict[Path, str] = {}
    problems, notes = [*found.problems], [*found.notes]
    for split, part in found.splits.items():
        shared = {one.image: first[one.image] for one in part if one.image in first}
        others = {*shared.values()}
        if len(others) == 1 and len(shared) == len(part) == len(kept[min(others)]):
            notes.append(f"{split} has the images of {min(others)} and is taken as not given")
            continue
        problems += [
            Problem(printable(str(image)), f"is in {other} and in {split}")
            for image, other in shared.items()
        ]
        kept[split] = part
        first |= dict.fromkeys((one.image for one in part), split)
    return replace(found, splits=kept, problems=tuple(problems), notes=tuple(notes))


def _pictures(
    images: Sequence[AnnotatedImage],
    checked: Iterator[CheckedImage],
    *,
    root: Path,
    max_megapixels: float,
) -> BoxPictures:
    own = list(islice(checked, len(images)))
    return BoxPictures(
        paths=tuple(one.image for one in images),
        objects=tuple(one.rows for one in own),
        sizes=np.array([one.size for one in own], np.int64).reshape(-1, 2),
        names=tuple(printable(os.path.relpath(one.image, root)) for one in images),
        max_megapixels=max_megapixels,
    )
