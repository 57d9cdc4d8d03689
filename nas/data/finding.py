"""Find the images of a data set by its name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from nas.data import embedded, torchvision_sets
from nas.data.annotations.folder import format_of, read_box_folder
from nas.data.folders.annotated import is_of_format, missing_annotations
from nas.data.folders.class_folders import read_folder
from nas.data.folders.layout import LayoutName, split_folders
from nas.data.folders.listing import subfolders
from nas.data.image_files.decode import ProgressCallback
from nas.data.image_files.names import printable
from nas.data.image_files.opening import MAX_MEGAPIXELS, reason
from nas.data.image_files.pictures import Pictures
from nas.data.masks.folder import mask_layout, read_mask_folder
from search_spaces.errors import InputError


class Found(NamedTuple):
    """A data set before decoding; `val` and `test` may be None.

    Attributes:
        name: Name in reports.
        classes: Class names.
        pictures: Images of each split.
        notes: What the user should know about it, one line each.
        task: Name of what can be learned of it.
    """

    name: str
    classes: tuple[str, ...]
    pictures: Mapping[str, Pictures | None]
    notes: tuple[str, ...] = ()
    task: str = "classify"


def find(
    source: str,
    *,
    root: Path | None = None,
    layout: LayoutName = "auto",
    max_megapixels: float = MAX_MEGAPIXELS,
    task: str | None = None,
    progress: ProgressCallback | None = None,
) -> Found:
    """Find a data set; see `nas.data.load.open_source` for the arguments.

    Raises:
        InputError: No data set has this name, its folder cannot be used, or it is annotated for another
            task than the one given.
    """
    learned = task_of_source(source, task)
    if source == embedded.NAME:
        classes, parts = embedded.read_embedded()
        return Found(embedded.NAME, classes, parts)
    if source == embedded.PHOTOS:
        folder = read_folder(embedded.photo_folder(), layout="split")
        splits = {"train": folder.train, "val": folder.val, "test": folder.test}
        return Found(embedded.PHOTOS, folder.classes, splits)
    if is_folder(source) or not source:
        path = expanded(source)
        if learned != "classify":
            found = _annotated(path, learned, max_megapixels=max_megapixels, progress=progress)
            return found if task else found._replace(notes=(*found.notes, *_other_tasks(path)))
        folder = read_folder(path, layout=layout, max_megapixels=max_megapixels)
        splits = {"train": folder.train, "val": folder.val, "test": folder.test}
        return Found(printable(path.resolve().name), folder.classes, splits, folder.notes)
    name = torchvision_sets.canonical_name(source)
    if name is None:
        raise InputError(
            f"no data set or folder is called {printable(source)!r}: {_suggestion(source)}"
        )
    known, opened = torchvision_sets.read_torchvision(
        name, expanded(str(torchvision_sets.download_root(root)))
    )
    return Found(name, known, opened)


def _annotated(
    path: Path, task: str, *, max_megapixels: float, progress: ProgressCallback | None
) -> Found:
    """Read a folder of images with boxes or masks."""
    read = read_box_folder if task == "detect" else read_mask_folder
    folder = read(path, max_megapixels=max_megapixels, progress=progress)
    splits = {split: folder.splits.get(split) for split in ("train", "val", "test")}
    name = printable(path.resolve().name)
    return Found(name, folder.classes, splits, folder.notes, task)


def task_of_source(source: str, task: str | None = None) -> str:
    """Return the name of what is learned of a data set, without reading its images.

    >>> task_of_source("CIFAR10")
    'classify'

    Args:
        source: The data set.
        task: What the user wants to learn of it; None takes what it is annotated for, boxes before masks.

    Raises:
        InputError: It is not annotated for that.
    """
    found = tasks_of_source(source)
    if task is None or task in found:
        return task or found[0]
    if task == "classify" and is_folder(source) and _may_have_classes(expanded(source)):
        return task
    if is_folder(source) and not expanded(source).is_dir():
        return task  # reported when it is read
    if found == ("classify",) and (missing := _missing(source)):
        raise InputError(f"{printable(source)} is in no layout that is known for {task}{missing}")
    raise InputError(
        f"{printable(source)} is annotated for the task {found[0]}, not for {task}: leave the task out, or "
        "give images with its kind of annotation"
    )


def _missing(source: str) -> str:
    """Say what the annotations of a folder or its splits need; empty if there seem to be none."""
    if not is_folder(source):
        return ""
    root = expanded(source)
    try:
        said = [missing_annotations(one) for one in (root, *split_folders(root).values())]
    except OSError:
        return ""  # the task itself is refused with its own line
    return next(filter(None, said), "")


def _may_have_classes(root: Path) -> bool:
    """Return whether an annotated data set's folders may be classes: labelImg writes beside each photo."""
    if not root.is_dir():
        return False
    base = split_folders(root).get("train", root)
    names = {folder.name for folder in subfolders(base)}
    return len(names) > 1 and not any(map(is_of_format, names))


def tasks_of_source(source: str) -> tuple[str, ...]:
    """Return the names of what can be learned of a data set, at least one, by its annotations."""
    if not is_folder(source):
        return ("classify",)
    folder = expanded(source)
    found = {"detect": format_of(folder), "segment": mask_layout(folder)}
    return tuple(task for task, how in found.items() if how is not None) or ("classify",)


def _other_tasks(path: Path) -> list[str]:
    """Say that a folder has more than the annotations that are read."""
    if len(tasks_of_source(str(path))) == 1:
        return []
    return [
        f"{printable(str(path))} has boxes and masks: the boxes are read (--task segment: masks)"
    ]


def expanded(source: str) -> Path:
    """Return a folder's path with `~` replaced.

    Raises:
        InputError: There is no such home folder.
    """
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"data folder {printable(source)}: {reason(error)}: give its path without ~"
        ) from error


def is_folder(source: str) -> bool:
    """Return whether a data set is named by a folder, which need not exist.

    >>> is_folder("./photos"), is_folder("CIFAR10")
    (True, False)
    """
    if source in embedded.NAMES:
        return False
    looks_like_path = os.sep in source or source.startswith((".", "~"))
    return looks_like_path or (bool(source) and os.path.exists(source))  # noqa: PTH110  of any length


def _suggestion(source: str) -> str:
    names = {name.lower(): name for name in (*embedded.NAMES, *torchvision_sets.SETS)}
    near = difflib.get_close_matches(source.lower(), names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(names[match] for match in near)}?"
    ours = ", ".join(embedded.NAMES)
    return f"give a folder of images, {ours}, or a torchvision name such as CIFAR10"
