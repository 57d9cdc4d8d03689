"""Find images and Pascal VOC annotations in a folder.

Three layouts are read: split folders (`train/`, `val/`, `test/`), each with XML files and images at any
depth; VOC's own, with lists in `ImageSets/Main/` and maybe masks; and one folder, all of it training data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath

from nas.data.annotations.lists import read_list, voc_lists
from nas.data.annotations.objects import Annotated, AnnotatedImage, Problem
from nas.data.annotations.voc_xml import file_name, read_voc_xml
from nas.data.folders.layout import split_folders
from nas.data.folders.listing import list_images
from nas.data.image_files.formats import is_image, suffixes
from nas.data.image_files.names import printable

TRIED = 20
"""XML files that are opened to see whether they annotate images; others may be about anything."""

HEAD_BYTES = 4096
ROOT = re.compile(rb"<annotation\b")


def has_voc_xml(root: Path) -> bool:
    """Return whether XML files in a folder, its splits or folders within these annotate images."""
    found = (
        path
        for folder in (root, *split_folders(root).values())
        for pattern in ("*.xml", "*/*.xml")
        for path in folder.glob(pattern)
    )
    return any(_annotates(path) for path in islice(found, TRIED))


def _annotates(path: Path) -> bool:
    with path.open("rb") as file:
        return ROOT.search(file.read(HEAD_BYTES)) is not None


def read_voc_folder(root: Path) -> Annotated:
    """Read the annotations of a folder.

    Raises:
        InputError: Its lists have no training images, or are no text.
        OSError: A folder or list cannot be read.
    """
    folders = split_folders(root)
    lists = {} if "train" in folders else voc_lists(root / "ImageSets" / "Main")
    problems: list[Problem] = []
    if "train" in folders:
        splits = {split: _read(folder, problems) for split, folder in folders.items()}
    elif lists:
        by_stem = {one.image.stem: one for one in _read(root, problems)}
        splits = {split: _listed(path, by_stem, problems) for split, path in lists.items()}
    else:
        splits = {"train": _read(root, problems)}
    return Annotated(splits, tuple(problems))


def _listed(
    path: Path, by_stem: Mapping[str, AnnotatedImage], problems: list[Problem]
) -> list[AnnotatedImage]:
    known = suffixes()
    found: dict[str, AnnotatedImage] = {}
    for line in read_list(path):
        name = PurePosixPath(line).name  # CVAT states folders too
        stem = name if name in by_stem or not is_image(name, known) else PurePosixPath(name).stem
        if stem in by_stem:
            found[stem] = by_stem[stem]
        else:
            problems.append(Problem(printable(str(path)), f"{line} has no image with annotation"))
    return list(found.values())


def _read(folder: Path, problems: list[Problem]) -> list[AnnotatedImage]:
    """Read every image with its annotation; what lacks its counterpart is a problem.

    Where there is VOC's folder of images, others, such as the masks, are not looked at.
    """
    images: dict[str, Path] = {}
    pictures = folder / "JPEGImages"
    for path in list_images(pictures if pictures.is_dir() else folder).images:
        if path.stem in images:
            other = printable(str(images[path.stem]))
            problems.append(Problem(printable(str(path)), f"has the same name as {other}"))
        images.setdefault(path.stem, path)
    found: dict[Path, AnnotatedImage] = {}
    for annotation in _xml_files(folder):
        image = images.get(annotation.stem) or _stated(annotation, images)
        where = printable(str(annotation))
        if image is None:
            problems.append(Problem(where, "there is no image of this name"))
        elif image in found:
            problems.append(Problem(where, f"{image.name} has another annotation"))
        else:
            read = read_voc_xml(annotation, image)
            if isinstance(read, Problem):
                problems.append(read)
                read = AnnotatedImage(image, where, ())
            found[image] = read
    problems += [
        Problem(printable(str(image)), "there is no annotation of this name")
        for image in images.values()
        if image not in found
    ]
    return [found[image] for image in images.values() if image in found]


def _stated(annotation: Path, images: Mapping[str, Path]) -> Path | None:
    """Return the image whose name the annotation states."""
    name = file_name(annotation)
    image = images.get(Path(name).stem) if name else None
    return image if image is not None and image.name == name else None


def _xml_files(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(folder.rglob("*.xml"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
