"""Folders of images and masks: `images/` and `masks/`, maybe with split folders above or in them."""

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
    problems = list(labels.problems)
    splits = {split: _pairs(*both, problems) for split, both in _places(root).items()}
    return Masked(labels.classes, labels.coding, splits, tuple(problems))


def _places(root: Path) -> dict[str, tuple[Path, Path]]:
    """Return the folders of images and of masks of each split."""
    folders = split_folders(root)
    if "train" in folders:
        return {split: (folder / IMAGES, folder / MASKS) for split, folder in folders.items()}
    inside = split_folders(root / IMAGES)
    beside = {split: root / MASKS / folder.name for split, folder in inside.items()}
    if "train" in inside and all(folder.is_dir() for folder in beside.values()):
        return {split: (folder, beside[split]) for split, folder in inside.items()}
    return {"train": (root / IMAGES, root / MASKS)}


def _pairs(images: Path, masks: Path, problems: list[Problem]) -> list[MaskedImage]:
    own, theirs = files_by_name(images, problems), files_by_name(masks, problems)
    if not own and not theirs:
        base = images.parent if images.name == IMAGES else images
        problems.append(Problem(shown(base), f"there are no files in {IMAGES}/ and {MASKS}/"))
    return paired(own, theirs, problems)
