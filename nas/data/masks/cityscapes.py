"""Cityscapes' layout: `leftImg8bit/SPLIT/CITY/` and `gtFine/SPLIT/CITY/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.data.annotations.objects import Problem
from nas.data.masks.coding import IGNORED, Coding
from nas.data.masks.masked import Masked, files_by_name, paired, shown

IMAGES, MASKS = "leftImg8bit", "gtFine"
IMAGE_ENDING = "_leftImg8bit"
LABEL_IDS, TRAIN_IDS = "_gtFine_labelIds", "_gtFine_labelTrainIds"

LEARNED: Mapping[str, int] = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
"""Label of each of the 19 classes that are learned and evaluated; the other labels are ignored."""

LARGEST_LABEL = 33


def has_cityscapes(root: Path) -> bool:
    """Return whether a folder has Cityscapes' images and fine masks."""
    return (root / IMAGES / "train").is_dir() and (root / MASKS / "train").is_dir()


def read_cityscapes(root: Path) -> Masked:
    """List the images of train and val; the masks of test are not public.

    Masks are the labels that come with the data set, or the class indices that its scripts make of them.

    Raises:
        OSError: A folder cannot be read.
    """
    problems: list[Problem] = []
    labels = any((root / MASKS / "train").rglob(f"*{LABEL_IDS}.png"))
    ending, coding = (
        (LABEL_IDS, label_ids()) if labels else (TRAIN_IDS, Coding.of_indices(len(LEARNED)))
    )
    splits = {}
    for split in ("train", "val"):
        if not (root / IMAGES / split).is_dir():
            continue
        images = files_by_name(root / IMAGES / split, problems, ending=IMAGE_ENDING)
        masks = files_by_name(root / MASKS / split, problems, ending=ending)
        splits[split] = paired(images, masks, problems)
    notes = []
    if (root / IMAGES / "test").is_dir():
        notes.append(f"{shown(root / IMAGES / 'test')} is not read: its masks are not public")
    return Masked(tuple(LEARNED), coding, splits, tuple(problems), tuple(notes))


def label_ids() -> Coding:
    """Return the coding of masks that hold Cityscapes' labels, of which 19 are classes."""
    classes = dict.fromkeys(range(LARGEST_LABEL + 1), IGNORED) | {IGNORED: IGNORED}
    classes |= {label: index for index, label in enumerate(LEARNED.values())}
    return Coding.of_values(classes, f"labels are 0 to {LARGEST_LABEL}")
