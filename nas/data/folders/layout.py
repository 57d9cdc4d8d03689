"""Layout of a data folder: does it contain classes, or train, val and test with classes in them?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas.data.folders.listing import direct_images, has_images, subfolders
from nas.data.image_files.names import class_name, printable
from search_spaces.errors import InputError

LayoutName = Literal["auto", "flat", "split"]
LAYOUTS: tuple[LayoutName, ...] = ("auto", "flat", "split")

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Layout:
    """Where the classes are.

    Attributes:
        splits: The folder of each split; if empty, the root contains the classes.
        ignored: Folders with images that belong to no split.
    """

    splits: Mapping[str, Path]
    ignored: tuple[Path, ...] = ()


def find_layout(root: Path, layout: LayoutName = "auto") -> Layout:
    """Determine the layout of a folder.

    Args:
        root: The data folder.
        layout: `flat` treats every folder as a class, `split` those with a split's name as splits,
            `auto` decides.

    Raises:
        InputError: Both are possible, or train is missing.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    folders = subfolders(root)
    named = {} if layout == "flat" else _split_folders(root, folders)
    others = [folder for folder in folders if folder not in named.values()]
    if not named:
        if layout == "split":
            raise InputError(f"layout is split, but {printable(str(root))} has no train/: add it")
        if layout == "auto":
            _refuse_splits_inside(root, folders)
        return Layout({})
    filled = tuple(folder for folder in others if has_images(folder))
    if layout == "auto" and filled and not _are_splits(named, filled):
        if _is_plain_class(named):
            return Layout({})
        raise InputError(_both_ways(root, named, filled))
    if "train" not in named:
        raise InputError(
            f"{printable(str(root))} has {_names(named.values())} but no train/: add train/ with one "
            "folder per class, or give --layout flat if these are classes"
        )
    return Layout(named, filled)


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split below a folder, by its usual names."""
    named = {folder.name.lower(): folder for folder in subfolders(root)}
    found = {
        split: next((named[name] for name in names if name in named), None)
        for split, names in SPLIT_NAMES.items()
    }
    return {split: folder for split, folder in found.items() if folder is not None}


def _split_folders(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        for split, names in SPLIT_NAMES.items():
            if folder.name.lower() not in names:
                continue
            if split in found:
                raise InputError(
                    f"{printable(str(root))} has both {found[split].name}/ and {folder.name}/: keep one "
                    "of them, or give --layout flat if these are classes"
                )
            found[split] = folder
    return found


def _are_splits(named: Mapping[str, Path], others: Sequence[Path]) -> bool:
    """Return whether train and another split share classes that no other folder has."""
    train = _classes(named["train"]) if "train" in named else set()
    held_out = [_classes(folder) for split, folder in named.items() if split != "train"]
    shared = train.intersection(set().union(*held_out))
    return bool(shared) and not any(shared & _classes(folder) for folder in others)


def _is_plain_class(named: Mapping[str, Path]) -> bool:
    """Return whether only `train` has a split's name, and contains images directly as no split does."""
    return set(named) == {"train"} and bool(direct_images(named["train"]))


def _classes(folder: Path) -> set[str]:
    return {class_name(inner.name) for inner in subfolders(folder) if has_images(inner)}


def _refuse_splits_inside(root: Path, folders: Sequence[Path]) -> None:
    """Check that classes are not split one by one: read as classes, test images would be trained on.

    Raises:
        InputError: They are.
    """
    filled = [folder for folder in folders if has_images(folder)]
    inside = [{inner.name.lower() for inner in subfolders(folder)} for folder in filled]
    held_out = {*SPLIT_NAMES["val"], *SPLIT_NAMES["test"]}
    if inside and all(i & {*SPLIT_NAMES["train"]} and i & held_out for i in inside):
        raise InputError(
            f"the class folders of {printable(str(root))}, as {printable(filled[0].name)}/, have train "
            "and test folders inside: put these above the class folders (train/CLASS, test/CLASS), or "
            "give --layout flat to read all of them as one"
        )


def _both_ways(root: Path, named: Mapping[str, Path], others: Sequence[Path]) -> str:
    return (
        f"{printable(str(root))} has {_names(named.values())} next to {_names(others)}, which contain "
        "images too: give --layout flat if every folder is a class, or --layout split to read only "
        f"{_names(named.values())}"
    )


def _names(folders: Collection[Path], most: int = 5) -> str:
    shown = [f"{printable(folder.name)}/" for folder in list(folders)[:most]]
    more = len(folders) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
