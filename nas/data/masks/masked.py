"""Images with masks as the readers of layouts return them, before they are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.data.annotations.objects import Problem
from nas.data.folders.listing import list_images
from nas.data.image_files.names import class_name, printable
from nas.data.masks.coding import Coding


@dataclass(frozen=True)
class MaskedImage:
    """The files of an image and of its mask."""

    image: Path
    mask: Path


@dataclass(frozen=True)
class Masked:
    """What a folder holds, before its masks are read.

    Attributes:
        classes: Class names; a pixel's class is an index into them.
        coding: How the masks' pixels stand for classes.
        splits: Images of `train`, and of `val` and `test` where there are any.
        problems: What is wrong with it.
        notes: What the user should know about how it was read, one line each.
    """

    classes: tuple[str, ...]
    coding: Coding
    splits: Mapping[str, Sequence[MaskedImage]]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def files_by_name(
    folder: Path, problems: list[Problem], *, ending: str | None = None
) -> dict[str, Path]:
    """List the image files below a folder by their path in it, without suffix.

    Args:
        folder: The folder; it need not exist.
        problems: Takes files of the same name.
        ending: If given, only files whose names end with it before their suffix; it is no part of the
            name.
    """
    found: dict[str, Path] = {}
    for path in list_images(folder).images:
        name = str(path.relative_to(folder).with_suffix(""))
        if ending is not None:
            if not name.endswith(ending):
                continue
            name = name.removesuffix(ending)
        name = class_name(name)
        if name in found:
            problems.append(Problem(shown(path), f"has the same name as {found[name].name}"))
        found.setdefault(name, path)
    return found


def paired(
    images: Mapping[str, Path], masks: Mapping[str, Path], problems: list[Problem]
) -> list[MaskedImage]:
    """Match images and masks by their names; what lacks its counterpart is a problem."""
    for name, path in images.items():
        if name not in masks:
            problems.append(Problem(shown(path), "there is no mask of this name"))
    for name, path in masks.items():
        if name not in images:
            problems.append(Problem(shown(path), "there is no image of this name"))
    return [MaskedImage(path, masks[name]) for name, path in images.items() if name in masks]


def shown(path: Path) -> str:
    """Return a path for an error message."""
    return printable(str(path))
