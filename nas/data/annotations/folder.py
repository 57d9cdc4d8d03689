"""Read a folder of images with annotated objects, whatever the format."""

from __future__ import annotations

from pathlib import Path

from nas.data.annotations.annotated_folder import (
    AnnotatedFolder,
    Formats,
    read_recognized,
    recognized,
)
from nas.data.annotations.boxes import checked_boxes, without_bare_splits, without_copies
from nas.data.annotations.coco_json import has_coco_json, read_coco_folder
from nas.data.annotations.objects import Annotated
from nas.data.annotations.pictures import BoxPictures
from nas.data.annotations.voc_folders import has_voc_xml, read_voc_folder
from nas.data.annotations.yolo_text import has_yolo_yaml, read_yolo_folder
from nas.data.image_files.decode import ProgressCallback

FORMATS: Formats[Annotated] = {
    "YOLO": (has_yolo_yaml, read_yolo_folder),
    "COCO": (has_coco_json, read_coco_folder),
    "VOC": (has_voc_xml, read_voc_folder),
}


def format_of(root: Path) -> str | None:
    """Return the format of the boxes in a folder; None if there are none, or it cannot be read."""
    return recognized(root, FORMATS)


def read_box_folder(
    root: Path, *, max_megapixels: float, progress: ProgressCallback | None = None
) -> AnnotatedFolder[BoxPictures]:
    """Read the images of a folder and their annotations, without decoding images.

    Args:
        root: The folder.
        max_megapixels: Larger images are refused.
        progress: Called with (images looked at, total) if that takes more than two seconds.

    Raises:
        AnnotationError: Annotations cannot be used; all problems are listed.
        InputError: There are no annotations, or the folder cannot be read.
    """
    missing = "has no boxes: expected Pascal VOC's XML, COCO's JSON or YOLO's data.yaml"
    name, read = read_recognized(root, FORMATS, missing=missing)
    found = without_copies(without_bare_splits(read))
    classes, splits = checked_boxes(
        found, root=root, max_megapixels=max_megapixels, progress=progress
    )
    return AnnotatedFolder(name, classes, splits, found.notes)
