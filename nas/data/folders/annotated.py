"""Folders of data sets with boxes or masks, which are no classes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nas.data.folders.layout import split_folders
from nas.data.folders.listing import has_images, subfolders
from nas.data.image_files.names import printable
from search_spaces.errors import InputError

IMAGE_FOLDERS = frozenset(("images", "jpegimages", "img_dir", "leftimg8bit"))

ANNOTATION_FOLDERS = frozenset(("masks", "labels", "annotations", "ann_dir", "imagesets", "gtfine"))

MASKS_OF_VOC = ("segmentationclass", "segmentationobject")
"""How VOC's folders of masks begin; labelme adds to them (`SegmentationClassVisualization`)."""

NEEDED = (
    "boxes are read from Pascal VOC's XML, COCO's JSON, or YOLO's data.yaml with labels/, and masks "
    "from masks/ beside images/ with labels.txt"
)

OF_CVAT = (
    "is CVAT's own format, which is not read: export boxes as COCO 1.0, Pascal VOC 1.1 or Ultralytics "
    "YOLO, masks as Segmentation mask 1.1"
)

HEAD_BYTES = 4096


def is_of_format(name: str) -> bool:
    """Return whether a folder's name is one of annotated data sets.

    >>> is_of_format("SegmentationClassPNG"), is_of_format("cat")
    (True, False)
    """
    return name.lower() in IMAGE_FOLDERS or _is_of_annotations(name)


def _is_of_annotations(name: str) -> bool:
    return name.lower() in ANNOTATION_FOLDERS or name.lower().startswith(MASKS_OF_VOC)


def missing_annotations(base: Path) -> str:
    """Say what boxes and masks need, where a folder seems to have them in a way that is not known.

    Raises:
        OSError: The folder cannot be read.
    """
    if (own := cvat_file(base)) is not None:
        return f"; {printable(own.name)} {OF_CVAT}"
    annotated = any(_is_of_annotations(folder.name) for folder in subfolders(base))
    return f"; {NEEDED}" if annotated or any(base.glob("*.json")) else ""


def cvat_file(base: Path) -> Path | None:
    """Return a folder's `annotations.xml` if it is in CVAT's own format, "CVAT for images"."""
    path = base / "annotations.xml"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return path if b"<annotations" in file.read(HEAD_BYTES) else None


def refuse_annotated(root: Path) -> None:
    """Check that the folders of images in a folder, or in its splits, may be classes.

    Raises:
        InputError: All have names of annotated data sets, whose layout is not known.
        OSError: A folder cannot be read.
    """
    for base in (root, *split_folders(root).values()):
        folders, missing = subfolders(base), missing_annotations(base)
        others = (folder for folder in folders if not is_of_format(folder.name))
        if not missing or any(map(has_images, others)):
            continue
        named = [folder.name for folder in folders if is_of_format(folder.name)]
        filled = [name for name in named if has_images(base / name)]
        if filled:
            raise InputError(
                f"{printable(str(base))} holds no classes but {_shown(filled)}, in a layout that is not "
                f"known{missing}"
            )


def _shown(names: Iterable[str]) -> str:
    return " and ".join(f"{printable(name)}/" for name in names)
