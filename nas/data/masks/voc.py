"""Pascal VOC's layout of masks, which CVAT also writes.

`JPEGImages/` has the images, `SegmentationClass/` the masks of some of them, and `ImageSets/Segmentation/`
a list of names for each split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.data.annotations.lists import NO_LIST, read_list, voc_lists
from nas.data.annotations.objects import Problem
from nas.data.masks.labels import LABELS, read_labels, voc_labels
from nas.data.masks.masked import Masked, MaskedImage, files_by_name, shown
from search_spaces.errors import InputError

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"


def has_voc_masks(root: Path) -> bool:
    """Return whether a folder has VOC's folders of masks and lists."""
    return (root / MASKS).is_dir() and (root / LISTS).is_dir()


def read_voc_masks(root: Path) -> Masked:
    """Read the lists of images, and that of classes: VOC's own if there is none.

    A test split whose masks are withheld, as VOC's are, is left out.

    Raises:
        InputError: There is no list of training images.
        OSError: A folder or a list cannot be read.
    """
    listed = read_labels(root)
    labels = listed or voc_labels()
    lists = _lists(root)
    problems, clashes = list(labels.problems), list[Problem]()
    images = files_by_name(root / IMAGES, clashes)
    masks = files_by_name(root / MASKS, clashes)
    notes = [] if listed else [f"{shown(root)} has no {LABELS}: classes are Pascal VOC's 21"]
    splits: dict[str, list[MaskedImage]] = {}
    chosen: dict[str, Path] = {}
    for split, path in lists.items():
        names = read_list(path)
        if split == "test" and not any(name in masks for name in names):
            notes.append(f"{shown(path)} is not read: none of its images has a mask")
            continue
        splits[split] = _pairs(path, names, images, masks, problems)
        problems += [
            Problem(shown(path), f"{name} is also in {chosen[name].name}")
            for name in names
            if name in chosen
        ]
        chosen |= dict.fromkeys(names, path)
    problems += [one for one in clashes if Path(one.where).stem in chosen]
    return Masked(labels.classes, labels.coding, splits, tuple(problems), tuple(notes))


def _lists(root: Path) -> dict[str, Path]:
    found = voc_lists(root / LISTS)
    if not found:
        raise InputError(f"{shown(root / LISTS)} has no train.txt: {NO_LIST}")
    return found


def _pairs(
    path: Path,
    names: list[str],
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    problems: list[Problem],
) -> list[MaskedImage]:
    """Return the files of the listed names."""
    pairs = []
    for name in names:
        if name not in images:
            problems.append(Problem(shown(path), f"{name} has no image in {IMAGES}/"))
        if name not in masks:
            problems.append(Problem(shown(path), f"{name} has no mask in {MASKS}/"))
        if name in images and name in masks:
            pairs.append(MaskedImage(images[name], masks[name]))
    return pairs
