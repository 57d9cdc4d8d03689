"""Read a folder of images with masks, whatever the layout."""

from __future__ import annotations

from pathlib import Path

from nas.data.annotations.annotated_folder import (
    AnnotatedFolder,
    Formats,
    read_recognized,
    recognized,
)
from nas.data.checking import Memory
from nas.data.image_files.decode import ProgressCallback
from nas.data.masks.checked import checked_masks
from nas.data.masks.cityscapes import has_cityscapes, read_cityscapes
from nas.data.masks.folders import has_mask_folders, read_mask_folders
from nas.data.masks.masked import Masked
from nas.data.masks.pictures import MaskPictures
from nas.data.masks.voc import has_voc_masks, read_voc_masks

LAYOUTS: Formats[Masked] = {
    "Cityscapes": (has_cityscapes, read_cityscapes),
    "VOC": (has_voc_masks, read_voc_masks),
    "folders": (has_mask_folders, read_mask_folders),
}


def mask_layout(root: Path) -> str | None:
    """Return the layout of the masks in a folder; None if there are none, or it cannot be read."""
    return recognized(root, LAYOUTS)


def read_mask_folder(
    root: Path, *, max_megapixels: float, progress: ProgressCallback | None = None
) -> AnnotatedFolder[MaskPictures]:
    """Read the images of a folder and check their masks.

    Args:
        root: The folder.
        max_megapixels: Larger images are refused.
        progress: Called with (masks checked, total) if that takes more than two seconds.

    Raises:
        AnnotationError: Masks cannot be used; all problems are listed.
        InputError: There are no masks, or the folder cannot be read.
    """
    missing = "has no masks: expected images/ and masks/, or the layout of Pascal VOC or Cityscapes"
    name, found = read_recognized(root, LAYOUTS, missing=missing)
    splits, notes = checked_masks(
        found,
        root=root,
        max_megapixels=max_megapixels,
        memory=Memory.of(f"{root.resolve()}|masks"),
        progress=progress,
    )
    return AnnotatedFolder(name, found.classes, splits, (*found.notes, *notes))
