"""A folder of class folders, with or without train, val and test folders above them."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.training.decode import FilePictures
from search_spaces.errors import InputError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
SUFFIXES = frozenset(
    ".bmp .gif .jpeg .jpg .pbm .pgm .png .ppm .tif .tiff .webp".split()  # noqa: SIM905 - reads as a list
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderPictures:
    """What a folder holds; `val` and `test` are None where it has no such folder."""

    classes: tuple[str, ...]
    train: FilePictures
    val: FilePictures | None
    test: FilePictures | None


def read_folder(root: Path) -> FolderPictures:
    """List the images below `root` without opening them.

    Classes are the folders of train, in alphabetical order; a class may be missing from val or
    test. Images may lie deeper inside a class folder. Hidden names and files without an image's
    suffix are ignored; a class folder without any image is left out with a warning.

    Raises:
        InputError: no such folder, fewer than two classes, an empty split, or a class that train
            does not have.
    """
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise InputError(
            f"data folder {root} {problem}: give a folder that holds one folder a class"
        )
    splits = _split_folders(root)
    train = _images_by_class(splits.get("train", root))
    _check_classes(train, splits.get("train", root))
    classes = tuple(train)
    held_out = {
        split: _held_out(splits[split], classes) if split in splits else None
        for split in ("val", "test")
    }
    return FolderPictures(classes, _pictures(train, classes), held_out["val"], held_out["test"])


def _split_folders(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _subfolders(root):
        for split, names in SPLIT_NAMES.items():
            if folder.name.lower() not in names:
                continue
            if split in found:
                raise InputError(
                    f"{root} has both {found[split].name}/ and {folder.name}/: keep one of them"
                )
            found[split] = folder
    if found and "train" not in found:
        present = next(iter(found.values())).name
        raise InputError(f"{root} has {present}/ but no train/: add train/ with one folder a class")
    return found


def _held_out(folder: Path, classes: tuple[str, ...]) -> FilePictures:
    images = _images_by_class(folder)
    for name in images:
        if name not in classes:
            raise InputError(
                f"class {name!r} of {folder} is not in train: add training images or remove it"
            )
    if not images:
        raise InputError(f"{folder} holds no images: fill it, or remove it to split it off train")
    return _pictures(images, classes)


def _check_classes(images: dict[str, list[Path]], folder: Path) -> None:
    if not images:
        raise InputError(
            f"{folder} holds no class folders with images: expected {folder}/CLASS/*.jpg"
        )
    if len(images) == 1:
        raise InputError(
            f"{folder} holds one class, {next(iter(images))!r}: "
            "classification needs at least two class folders"
        )


def _images_by_class(folder: Path) -> dict[str, list[Path]]:
    images: dict[str, list[Path]] = {}
    for class_folder in _subfolders(folder):
        paths = sorted(_image_files(class_folder))
        if paths:
            images[class_folder.name] = paths
        else:
            _log.warning("class folder %s holds no images and is left out", class_folder)
    return images


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _image_files(folder: Path) -> Iterator[Path]:
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        # A link to a folder above would never end.
        real = os.path.realpath(parent)
        folders[:] = [] if real in visited else [f for f in folders if not f.startswith(".")]
        if real in visited:
            continue
        visited.add(real)
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def _pictures(images: dict[str, list[Path]], classes: tuple[str, ...]) -> FilePictures:
    numbered = [
        (path, label) for label, name in enumerate(classes) for path in images.get(name, [])
    ]
    return FilePictures(
        paths=tuple(path for path, _ in numbered),
        labels=np.array([label for _, label in numbered], np.int64),
    )
