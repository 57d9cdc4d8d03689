"""Check masks against their images and classes, and turn them into pictures with targets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas.data.annotations.objects import Problem
from nas.data.annotations.problems import AnnotationError
from nas.data.checking import Memory, digest
from nas.data.image_files.decode import ProgressCallback, for_each
from nas.data.image_files.names import printable
from nas.data.image_files.opening import open_file, reason
from nas.data.image_files.orientation import SWAPPED, UPRIGHT
from nas.data.image_files.stored_size import Stored, stored
from nas.data.image_files.unreadable import Unreadable
from nas.data.masks.coding import IGNORED, WrongMaskError
from nas.data.masks.masked import Masked, MaskedImage, shown
from nas.data.masks.pictures import MaskPictures, read_mask
from search_spaces.errors import InputError

Size = tuple[int, int]


class Fit(NamedTuple):
    """How a mask fits its image.

    Attributes:
        orientation: EXIF's orientation by which the mask is turned upright; 1 leaves it.
        assumed: Whether its size leaves open if it is stored upright.
    """

    orientation: int
    assumed: bool = False


@dataclass(frozen=True)
class Checks:
    """Checks the masks of a data set, and remembers which of them have classes only.

    Attributes:
        found: The data set.
        max_megapixels: Larger files are refused.
        memory: Masks whose values are known to be classes.
        progress: Called with (masks done, total) once the work has taken two seconds.
    """

    found: Masked
    max_megapixels: float
    memory: Memory
    progress: ProgressCallback | None = None

    def run(self, pairs: Sequence[MaskedImage]) -> tuple[dict[int, Fit], list[Problem]]:
        """Return how each mask fits its image, by index, and what is wrong with the others.

        Raises:
            InputError: The masks have the first class and ignored pixels only, and there are more classes.
        """
        good, key = self.memory.read(), self.found.coding.key()
        stamps = [_stamp(one.mask, key) for one in pairs]
        fits: dict[int, Fit] = {}
        values: set[int] = set()

        def look(index: int) -> Unreadable | None:
            one = pairs[index]
            try:
                fits[index] = self._fit(one)
                if stamps[index] not in good:
                    coding, limit = self.found.coding, self.max_megapixels
                    classes = read_mask(one.mask, coding, max_megapixels=limit)
                    values.update(np.flatnonzero(np.bincount(classes.ravel())).tolist())
            except Exception as error:  # noqa: BLE001  plug-ins may raise anything on damaged files
                return Unreadable(shown(one.mask), reason(error))
            return None

        bad = for_each(len(pairs), look, progress=self.progress)
        if values == {0, IGNORED} and not bad and good.isdisjoint(stamps):
            self._refuse_binary(pairs[0].mask.parent)
        sound = {
            stamp for index, stamp in enumerate(stamps) if stamp is not None and index not in bad
        }
        if sound != good:
            self.memory.write(sound)
        return fits, [Problem(one.name, one.reason) for one in bad.values()]

    def _refuse_binary(self, folder: Path) -> None:
        """Refuse masks whose objects are all ignored: programs write binary masks of 0 and 255."""
        classes = self.found.classes
        if len(classes) > 1:
            raise InputError(
                f"{shown(folder)}: no mask has {classes[1]!r}, which is 1, and {IGNORED} is ignored: "
                f"save masks with 1 in place of {IGNORED}"
            )

    def _fit(self, one: MaskedImage) -> Fit:
        image = stored(one.image, max_megapixels=self.max_megapixels)
        with open_file(one.mask, max_megapixels=self.max_megapixels) as mask:
            if image is None:  # left to the check of all images
                return Fit(UPRIGHT)
            return fit(mask.size, image, name=one.image.name)


def fit(mask: Size, image: Stored, *, name: str) -> Fit:
    """Return how a mask fits an image that EXIF may turn: as it is seen, or as it is stored.

    Where both have the same size, it is taken as it is seen.

    Args:
        mask: Width and height of the mask.
        image: How the image is stored.
        name: The image's.

    Raises:
        WrongMaskError: Its size is another one.

    >>> photo = Stored((40, 30), 6)
    >>> fit((30, 40), photo, name="a.jpg"), fit((40, 30), photo, name="a.jpg")
    (Fit(orientation=1, assumed=False), Fit(orientation=6, assumed=False))
    """
    upright = image.size[::-1] if image.orientation in SWAPPED else image.size
    if mask == upright:
        return Fit(UPRIGHT, assumed=image.orientation != UPRIGHT and upright == image.size)
    if mask == image.size:
        return Fit(image.orientation)
    raise WrongMaskError(
        f"is {mask[0]} x {mask[1]} pixels, and its image {name} is {upright[0]} x {upright[1]}"
    )


def checked_masks(
    found: Masked,
    *,
    root: Path,
    max_megapixels: float,
    memory: Memory,
    progress: ProgressCallback | None = None,
) -> tuple[Mapping[str, MaskPictures], tuple[str, ...]]:
    """Return the pictures of each split, and what the user should know, one line each.

    Args:
        found: The data set.
        root: Its folder.
        max_megapixels: Larger files are refused.
        memory: Masks that were checked before; updated.
        progress: Called with (masks done, total) once the work has taken two seconds.

    Raises:
        AnnotationError: Masks cannot be used; all problems are listed.
        InputError: There is nothing to train on, or masks of 0 and 255 have no class but the first.
    """
    pairs = [one for part in found.splits.values() for one in part]
    fits, wrong = Checks(found, max_megapixels, memory, progress).run(pairs)
    problems = [*found.problems, *wrong]
    if problems:
        raise AnnotationError(shown(root), problems)
    if not found.splits.get("train"):
        raise InputError(f"{shown(root)} has no training images with masks")
    every = iter([fits[index] for index in range(len(pairs))])
    splits = {
        split: _pictures(part, every, found, root=root, max_megapixels=max_megapixels)
        for split, part in found.splits.items()
    }
    return splits, tuple(_assumed(fits, pairs))


def _pictures(
    pairs: Sequence[MaskedImage],
    fits: Iterator[Fit],
    found: Masked,
    *,
    root: Path,
    max_megapixels: float,
) -> MaskPictures:
    return MaskPictures(
        paths=tuple(one.image for one in pairs),
        masks=tuple(one.mask for one in pairs),
        orientations=np.array([next(fits).orientation for _ in pairs], np.int64),
        coding=found.coding,
        names=tuple(printable(os.path.relpath(one.image, root)) for one in pairs),
        max_megapixels=max_megapixels,
    )


def _assumed(fits: Mapping[int, Fit], pairs: Sequence[MaskedImage]) -> Iterator[str]:
    named = [shown(pairs[index].image) for index in sorted(fits) if fits[index].assumed]
    if named:
        photos = (
            "a photo that EXIF turns" if len(named) == 1 else f"{len(named)} photos that EXIF turns"
        )
        yield (
            f"masks are taken as upright where their size does not tell, for {photos}, such as {named[0]}"
        )


def _stamp(mask: Path, coding: str) -> int | None:
    try:
        found = mask.stat()
    except OSError:
        return None
    return digest(f"{mask.absolute()}|{found.st_size}|{found.st_mtime_ns}|{coding}")
