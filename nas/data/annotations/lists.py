"""Text files that list images, a name a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.data.image_files.names import printable
from search_spaces.errors import InputError

VOC_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "trainval", "default"),
    "val": ("val",),
    "test": ("test",),
}
"""VOC's lists of each split, of which the first one found is read; CVAT calls that of all `default`."""

NO_LIST = "write the names of the training images"


def voc_lists(folder: Path) -> dict[str, Path]:
    """Return the list of each split in a folder such as VOC's `ImageSets/Main`; empty if it has none.

    Raises:
        InputError: It has lists, but none of training images.
    """
    paths = {
        split: next((path for name in names if (path := folder / f"{name}.txt").is_file()), None)
        for split, names in VOC_NAMES.items()
    }
    found = {split: path for split, path in paths.items() if path is not None}
    if found and "train" not in found:
        raise InputError(f"{printable(str(folder))} has no train.txt: {NO_LIST}")
    return found


def read_list(path: Path) -> list[str]:
    """Return the names in a list, each once. Names may contain spaces.

    Raises:
        InputError: It is not UTF-8.
        OSError: It cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{printable(str(path))} is not UTF-8 text: save it as UTF-8 ({error.reason})"
        ) from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
