"""Folders of images and of masks: `images/` and `masks/`, with or without split folders above them."""

from __future__ import annotations

from pathlib import Path

from nas.data.annotations.objects import Problem
from nas.data.folders.layout import split_folders
from nas.data.masks.labels import LABEL_MAP, LABELS, read_labels
from nas.data.masks.masked import Masked, MaskedImage, files_by_name, paired, shown
from search_spaces.errors import InputError

IMAGES, MASKS = "images", "masks"


def has_mask_folders(root: Path) -> bool:
    """Return whether a folder, or its training split if it has one, has folders of images and masks."""
    place = split_folders(root).get("train", root)
    return (place / IMAGES).is_dir() and (place / MASKS).is_dir()


def read_mask_folders(root: Path) -> Masked:
    """List images and masks, and read the list of classes.

    Raises:
        InputError: There is no list of classes.
        OSError: A folder or the list cannot be read.
    """
    labels = read_labels(root)
    if labels is None:
        raise InputError(
            f"{shown(root)} has masks, but no {LABELS} that says what their values are: write the "
            f"classes into it, a line each from value 0 up, or their colors into {LABEL_MAP}"
        )
    folders = split_folders(root)
    bases = folders if "train" in folders else {"train": root}
    problems = list(labels.problems)
    splits = {split: _pairs(base, problems) for split, base in bases.items()}
    return Masked(labels.classes, labels.coding, splits, tuple(problems))


def _pairs(base: Path, problems: list[Problem]) -> list[MaskedImage]:
    images = files_by_name(base / IMAGES, problems)
    masks = files_by_name(base / MASKS, problems)
    if not images and not masks:
        problems.append(Problem(shown(base), f"there are no files in {IMAGES}/ and {MASKS}/"))
    return paired(images, masks, problems)
