"""Read a folder of images with masks, whatever the layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from nas.data.checking import Memory
from nas.data.image_files.decode import ProgressCallback
from nas.data.masks.checked import checked_masks
from nas.data.masks.cityscapes import has_cityscapes, read_cityscapes
from nas.data.masks.folders import has_mask_folders, read_mask_folders
from nas.data.masks.masked import Masked, shown
from nas.data.masks.pictures import MaskPictures
from nas.data.masks.voc import has_voc_masks, read_voc_masks
from search_spaces.errors import InputError


class MaskFolder(NamedTuple):
    """A folder with masks.

    Attributes:
        layout: `Cityscapes`, `VOC` or `folders`.
        classes: Class names; a pixel's class is an index into them.
        splits: The pictures of `train`, and of `val` and `test` where there are any.
        notes: What the user should know about how the folder was read, one line each.
    """

    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, MaskPictures]
    notes: tuple[str, ...] = ()


LAYOUTS: Mapping[str, tuple[Callable[[Path], bool], Callable[[Path], Masked]]] = {
    "Cityscapes": (has_cityscapes, read_cityscapes),
    "VOC": (has_voc_masks, read_voc_masks),
    "folders": (has_mask_folders, read_mask_folders),
}
"""How to recognize and how to read each layout; the first one that is recognized is read."""


def mask_layout(root: Path) -> str | None:
    """Return the layout of the masks in a folder; None if there are none, or it cannot be read."""
    try:
        return next((name for name, (has, _) in LAYOUTS.items() if has(root)), None)
    except (OSError, ValueError):  # also of a name that no file system has
        return None


def read_mask_folder(
    root: Path, *, max_megapixels: float, progress: ProgressCallback | None = None
) -> MaskFolder:
    """Read the images of a folder and check their masks.

    Args:
        root: The folder.
        max_megapixels: Larger images are refused.
        progress: Called with (masks checked, total) if that takes more than two seconds.

    Raises:
        AnnotationError: Masks cannot be used; all problems are listed.
        InputError: There are no masks, or the folder cannot be read.
    """
    name = mask_layout(root)
    if name is None:
        raise InputError(
            f"{shown(root)} has no masks: expected images/ and masks/, or the layout of Pascal VOC or "
            "Cityscapes"
        )
    try:
        found = LAYOUTS[name][1](root)
    except OSError as error:
        place = shown(Path(error.filename or root))
        raise InputError(f"{place}: {error.strerror}: give files that can be read") from error
    splits, notes = checked_masks(
        found,
        root=root,
        max_megapixels=max_megapixels,
        memory=Memory.of(f"{root.resolve()}|masks"),
        progress=progress,
    )
    return MaskFolder(name, found.classes, splits, (*found.notes, *notes))
