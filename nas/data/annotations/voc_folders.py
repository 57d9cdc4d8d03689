"""Find images and Pascal VOC annotations in a folder.

Three layouts are read: split folders (`train/`, `val/`, `test/`), each with XML files and images at any
depth; VOC's own, with lists in `ImageSets/Main/` and maybe masks; and one folder, all of it training data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath

from nas.data.annotations.lists import read_list, voc_lists
from nas.data.annotations.objects import Annotated, AnnotatedImage, Problem
from nas.data.annotations.voc_xml import file_name, read_voc_xml
from nas.data.folders.layout import split_folders
from nas.data.folders.listing import files_below, list_images
from nas.data.image_files.formats import suffixes
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

    A `val` or `test` none of whose images is annotated, as VOC's own test sets are not, is left out.

    Raises:
        InputError: Its lists have no training images, or are no text.
        OSError: A folder or list cannot be read.
    """
    folders = split_folders(root)
    lists = {} if "train" in folders else voc_lists(root / "ImageSets" / "Main")
    problems, notes = list[Problem](), list[str]()
    if "train" in folders:
        bare = {one for one in folders if one != "train" and not any(_xml_files(folders[one]))}
        splits = {one: _read(folders[one], problems) for one in folders if one not in bare}
        notes += [_not_read(folders[one]) for one in folders if one in bare]
    elif lists:
        splits = _read_lists(root, lists, problems, notes)
    else:
        splits = {"train": _read(root, problems)}
    return Annotated(splits, tuple(problems), notes=tuple(notes))


def _not_read(place: Path) -> str:
    return f"{printable(str(place))} is not read: none of its images has an annotation"


def _read_lists(
    root: Path, lists: Mapping[str, Path], problems: list[Problem], notes: list[str]
) -> dict[str, list[AnnotatedImage]]:
    """Read the images that lists name; the others of the folder do not matter."""
    known = suffixes()
    stems = {
        split: {line: _stems(line, known) for line in read_list(path)}
        for split, path in lists.items()
    }
    listed = {stem for part in stems.values() for tried in part.values() for stem in tried}
    by_stem = {one.image.stem: one for one in _read(root, problems, listed)}
    splits = {}
    for split, path in lists.items():
        found = {
            line: next((by_stem[stem] for stem in tried if stem in by_stem), None)
            for line, tried in stems[split].items()
        }
        if split != "train" and not any(found.values()):
            notes.append(_not_read(path))
            continue
        problems += [
            Problem(printable(str(path)), f"{line} has no image with annotation")
            for line, one in found.items()
            if one is None
        ]
        splits[split] = [*{one.image: one for one in found.values() if one is not None}.values()]
    return splits


def _stems(line: str, known: Collection[str]) -> list[str]:
    """Return what an image may be called that a list names; CVAT states its folder and suffix too.

    >>> _stems("data/cat.1.jpg", [".jpg"]), _stems("cat.1", [".jpg"])
    (['cat.1.jpg', 'cat.1'], ['cat.1'])
    """
    path = PurePosixPath(line)
    return [path.name, path.stem] if path.suffix.lower() in known else [path.name]


def _read(
    folder: Path, problems: list[Problem], listed: Collection[str] | None = None
) -> list[AnnotatedImage]:
    """Read every image with its annotation; what lacks its counterpart is a problem.

    Args:
        folder: The folder.
        problems: Takes what cannot be read.
        listed: Names of the images to read, without suffix; those that are missing are no problem here.
    """
    images = _images(folder, problems, listed)
    found: dict[Path, AnnotatedImage] = {}
    for annotation in _xml_files(folder):
        image = images.get(annotation.stem) or _stated(annotation, images)
        where = printable(str(annotation))
        if listed is not None and (image is None or image.stem not in listed):
            continue
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
    if listed is None:
        problems += [
            Problem(printable(str(image)), "there is no annotation of this name")
            for image in images.values()
            if image not in found
        ]
    return [found[image] for image in images.values() if image in found]


def _images(
    folder: Path, problems: list[Problem], listed: Collection[str] | None
) -> dict[str, Path]:
    """Return the images of a folder by name, without suffix.

    Where there is VOC's folder of images, others, such as the masks, are not looked at.
    """
    images: dict[str, Path] = {}
    pictures = folder / "JPEGImages"
    for path in list_images(pictures if pictures.is_dir() else folder).images:
        if path.stem in images and (listed is None or path.stem in listed):
            other = printable(str(images[path.stem]))
            problems.append(Problem(printable(str(path)), f"has the same name as {other}"))
        images.setdefault(path.stem, path)
    return images


def _stated(annotation: Path, images: Mapping[str, Path]) -> Path | None:
    """Return the image whose name the annotation states."""
    name = file_name(annotation)
    image = images.get(Path(name).stem) if name else None
    return image if image is not None and image.name == name else None


def _xml_files(folder: Path) -> Iterator[Path]:
    return iter(sorted(Path(path) for path in files_below(folder) if path.endswith(".xml")))
