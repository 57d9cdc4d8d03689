"""Folders of class folders, with or without train, val and test folders above them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.data.folders.annotated import missing_annotations, refuse_annotated
from nas.data.folders.layout import Layout, LayoutName, find_layout
from nas.data.folders.listing import (
    Listed,
    direct_images,
    list_images,
    said_by_suffix,
    subfolders,
    total,
)
from nas.data.image_files.decode import FilePictures
from nas.data.image_files.names import class_name, printable
from nas.data.image_files.opening import MAX_MEGAPIXELS
from search_spaces.errors import InputError

NAMED_FOLDERS = 5


@dataclass(frozen=True)
class FolderPictures:
    """Contents of a folder; `val` and `test` are None if it has no such folder.

    Attributes:
        classes: Class names, in the order of their folders.
        train: Images of every class.
        val: Held-out images.
        test: Test images.
        notes: What the user should know about how the folder was read, one line each.
    """

    classes: tuple[str, ...]
    train: FilePictures
    val: FilePictures | None
    test: FilePictures | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Class:
    folder: Path
    listed: Listed


def read_folder(
    root: Path, *, layout: LayoutName = "auto", max_megapixels: float = MAX_MEGAPIXELS
) -> FolderPictures:
    """List the images below `root` without opening them.

    Classes are the folders of train, in alphabetical order; val or test may lack a class. Images may lie
    deeper inside a class folder. Hidden names are ignored; other files that are not images, and class
    folders without images, are mentioned in notes.

    Args:
        root: The folder.
        layout: See `nas.data.folders.layout.find_layout`.
        max_megapixels: Larger images are refused when they are read.

    Raises:
        InputError: The folder does not exist, its layout is ambiguous, it seems to be annotated, or it has
            fewer than two classes, an empty split, two names for one class, or a class that train lacks.
    """
    if not os.path.isdir(root):  # noqa: PTH112  Path's own raises for names that are too long
        problem = "is not a folder" if os.path.exists(root) else "does not exist"  # noqa: PTH110
        raise InputError(
            f"data folder {printable(str(root))} {problem}: give a folder that holds one folder per class"
        )
    try:
        if layout != "flat":
            refuse_annotated(root)
        found = find_layout(root, layout)
        bases = {"train": root, **found.splits}
        classes = {split: _classes_in(base) for split, base in bases.items()}
    except OSError as error:
        where = printable(str(error.filename or root))
        raise InputError(
            f"data folder {where}: {error.strerror}: give a folder that can be read"
        ) from error
    _check_train(classes["train"], bases["train"])
    names = tuple(name for name, one in classes["train"].items() if one.listed.images)
    for split in ("val", "test"):
        if split in classes:
            _check_held_out(classes[split], bases[split], names)
    read = {split: _pictures(inside, names, max_megapixels) for split, inside in classes.items()}
    notes = _notes(root, found, bases, classes)
    return FolderPictures(names, read["train"], read.get("val"), read.get("test"), notes)


def _classes_in(base: Path) -> dict[str, _Class]:
    """Return each class with its folder and files, also without any.

    Raises:
        InputError: Two folders have the same name in different Unicode forms.
    """
    found: dict[str, _Class] = {}
    for folder in subfolders(base):
        name = class_name(folder.name)
        if name in found:
            raise InputError(
                f"class folders {found[name].folder.name!a} and {folder.name!a} of "
                f"{printable(str(base))} are both {name!r} (written in two Unicode forms): put the "
                "images into one of them"
            )
        found[name] = _Class(folder, list_images(folder))
    return found


def _check_train(found: Mapping[str, _Class], base: Path) -> None:
    filled = [name for name, one in found.items() if one.listed.images]
    where = printable(str(base))
    if not filled:
        direct = direct_images(base)
        inside = f"; {direct} images lie directly in it: put each into its class" if direct else ""
        other = total(one.listed for one in found.values())
        there = f"; there are {said_by_suffix(other)}" if other else ""
        raise InputError(
            f"{where} holds no class folders with images: expected {where}/CLASS/*.jpg{inside}{there}"
            f"{missing_annotations(base)}"
        )
    if len(filled) == 1:
        raise InputError(
            f"{where} holds one class, {filled[0]!r}: classification needs at least two class folders"
            f"{missing_annotations(base)}"
        )


def _check_held_out(found: Mapping[str, _Class], base: Path, names: tuple[str, ...]) -> None:
    where = printable(str(base))
    filled = [name for name, one in found.items() if one.listed.images]
    for name in filled:
        if name not in names:
            raise InputError(
                f"class {name!r} of {where} is not in train: add training images or remove it"
            )
    if not filled:
        direct = direct_images(base)
        inside = f" in class folders ({direct} lie directly in it)" if direct else ""
        raise InputError(
            f"{where} holds no images{inside}: fill it, or remove it to split it off train"
        )


def _pictures(
    found: Mapping[str, _Class], names: tuple[str, ...], max_megapixels: float
) -> FilePictures:
    numbered = [
        (path, label, f"{name}/{printable(str(path.relative_to(found[name].folder)))}")
        for label, name in enumerate(names)
        if name in found
        for path in found[name].listed.images
    ]
    return FilePictures(
        paths=tuple(path for path, _, _ in numbered),
        labels=np.array([label for _, label, _ in numbered], np.int64),
        names=tuple(name for _, _, name in numbered),
        max_megapixels=max_megapixels,
    )


def _notes(
    root: Path,
    layout: Layout,
    bases: Mapping[str, Path],
    classes: Mapping[str, Mapping[str, _Class]],
) -> tuple[str, ...]:
    notes = []
    for one in (one for inside in classes.values() for one in inside.values()):
        if not one.listed.images:
            there = (
                f" (it has {said_by_suffix(one.listed.left_out)})" if one.listed.left_out else ""
            )
            notes.append(
                f"class folder {printable(str(one.folder))} holds no images and is left out{there}"
            )
    other = total(one.listed for inside in classes.values() for one in inside.values())
    if other:
        notes.append(f"left out of {printable(root.name)}: {said_by_suffix(other)}")
    notes += [
        f"{direct} images that lie directly in {printable(str(base))} are left out: they are in no class "
        "folder"
        for base in bases.values()
        if (direct := direct_images(base))
    ]
    if layout.ignored:
        beside = ", ".join(f"{printable(path.name)}/" for path in layout.ignored[:NAMED_FOLDERS])
        notes.append(f"{beside} next to train/ are not read, because they are not splits")
    return (*notes, *_two_forms(classes))


def _two_forms(classes: Mapping[str, Mapping[str, _Class]]) -> list[str]:
    """Return classes whose folders in one split are written differently from those in train."""
    train = classes["train"]
    differ = [
        name
        for inside in classes.values()
        for name, one in inside.items()
        if name in train and one.folder.name != train[name].folder.name
    ]
    return [
        f"class {name!r} is written in two Unicode forms, and read as one class"
        for name in sorted(set(differ))
    ]
