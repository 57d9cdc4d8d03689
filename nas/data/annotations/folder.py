"""Read a folder of images with annotated objects, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from nas.data.annotations.boxes import checked_boxes
from nas.data.annotations.coco_json import coco_files, read_coco_folder
from nas.data.annotations.objects import Annotated
from nas.data.annotations.pictures import BoxPictures
from nas.data.annotations.voc_folders import has_voc_xml, read_voc_folder
from nas.data.annotations.yolo_text import read_yolo_folder, yolo_file
from nas.data.image_files.names import printable
from search_spaces.errors import InputError


class BoxFolder(NamedTuple):
    """A folder with boxes.

    Attributes:
        format: `VOC`, `COCO` or `YOLO`.
        classes: Class names; an object's class is an index into them.
        splits: The pictures of `train`, and of `val` and `test` where there are any.
        notes: What the user should know about how the folder was read, one line each.
    """

    format: str
    classes: tuple[str, ...]
    splits: Mapping[str, BoxPictures]
    notes: tuple[str, ...] = ()


FORMATS: Mapping[str, tuple[Callable[[Path], object], Callable[[Path], Annotated]]] = {
    "YOLO": (yolo_file, read_yolo_folder),
    "COCO": (lambda root: "train" in coco_files(root), read_coco_folder),
    "VOC": (has_voc_xml, read_voc_folder),
}
"""How to recognize and how to read each format; the first one that is recognized is read."""


def format_of(root: Path) -> str | None:
    """Return the format of the annotations in a folder; None if there are none."""
    return next((name for name, (has, _) in FORMATS.items() if has(root)), None)


def read_box_folder(root: Path, *, max_megapixels: float) -> BoxFolder:
    """Read the images of a folder and their annotations, without decoding images.

    Args:
        root: The folder.
        max_megapixels: Larger images are refused.

    Raises:
        AnnotationError: Annotations cannot be used; all problems are listed.
        InputError: There are no annotations, or the folder cannot be read.
    """
    where = printable(str(root))
    name = format_of(root)
    if name is None:
        raise InputError(
            f"{where} has no boxes: expected Pascal VOC's XML, COCO's JSON or YOLO's data.yaml"
        )
    try:
        found = FORMATS[name][1](root)
    except OSError as error:
        place = printable(str(error.filename or root))
        raise InputError(f"{place}: {error.strerror}: give files that can be read") from error
    classes, splits = checked_boxes(found, root=root, max_megapixels=max_megapixels)
    return BoxFolder(name, classes, splits, found.notes)
