"""Folders of images and masks: `images/` and `masks/`, maybe with split folders above or in them.

Other tools' names of the two folders are read as well.
"""

from __future__ import annotations

import os
from pathlib import Path

from nas.data.annotations.objects import Problem
from nas.data.folders.layout import split_folders
from nas.data.folders.listing import has_images
from nas.data.masks.labels import LABEL_MAP, LABELS, read_labels
from nas.data.masks.masked import Masked, MaskedImage, files_by_name, paired, shown
from search_spaces.errors import InputError

SPELLINGS = (
    ("images", "masks"),
    ("images", "labels"),
    ("img_dir", "ann_dir"),
    ("JPEGImages", "SegmentationClassPNG"),
    ("JPEGImages", "SegmentationClass"),
)
"""Names of the folders of images and masks: ours, and those of other tools, mmsegmentation and labelme."""


def has_mask_folders(root: Path) -> bool:
    """Return whether a folder, or its training split if it has one, has folders of images and masks."""
    return _spelling(root) is not None


def _spelling(root: Path) -> tuple[str, str] | None:
    """Return how the two folders are called. Other tools' may hold YOLO's text or arrays instead."""
    place = split_folders(root).get("train", root)
    for images, masks in SPELLINGS:
        both = (place / images).is_dir() and (place / masks).is_dir()
        if both and (masks == "masks" or has_images(place / masks)):
            return images, masks
    return None


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
    spelling = _spelling(root)
    assert spelling is not None
    problems = list(labels.problems)
    splits = {split: _pairs(*both, problems) for split, both in _places(root, *spelling).items()}
    return Masked(labels.classes, labels.coding, splits, tuple(problems))


def _places(root: Path, images: str, masks: str) -> dict[str, tuple[Path, Path]]:
    """Return the folders of images and of masks of each split."""
    folders = split_folders(root)
    if "train" in folders:
        return {split: (folder / images, folder / masks) for split, folder in folders.items()}
    inside = split_folders(root / images)
    beside = {split: root / masks / folder.name for split, folder in inside.items()}
    if "train" in inside and all(folder.is_dir() for folder in beside.values()):
        return {split: (folder, beside[split]) for split, folder in inside.items()}
    return {"train": (root / images, root / masks)}


def _pairs(images: Path, masks: Path, problems: list[Problem]) -> list[MaskedImage]:
    own, theirs = files_by_name(images, problems), files_by_name(masks, problems)
    if not own and not theirs:
        base = Path(os.path.commonpath((images, masks)))
        inside = " and ".join(f"{path.relative_to(base)}/" for path in (images, masks))
        problems.append(Problem(shown(base), f"there are no files in {inside}"))
    return paired(own, theirs, problems)
