"""Find image files by the names that annotations state."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from nas.data.folders.layout import SPLIT_NAMES
from nas.data.folders.listing import list_images
from nas.data.image_files.names import printable


class NamedImages:
    """The image files below a folder, found by the end of their path."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.paths = list_images(root).images
        self._by_name: Mapping[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[path.name].append(path)

    def find(self, name: str, split: str) -> Path | str:
        """Return the file of a name, or what is wrong with it.

        The name may state folders, which need not exist if there is only one image of this name. Of
        several, the one in a folder of the split is meant.
        """
        parts = Path(name.replace("\\", "/")).parts
        same = self._by_name.get(parts[-1] if parts else "", [])
        fitting = [path for path in same if path.parts[-len(parts) :] == parts] or same
        if len(fitting) > 1:
            fitting = [path for path in fitting if self._is_of(path, split)] or fitting
        match fitting:
            case []:
                return f"there is no image {printable(name)}"
            case [path]:
                return path
        folders = " and ".join(sorted(printable(str(path.parent)) for path in fitting[:2]))
        return f"image {printable(name)} is in {folders}: state the folder in file_name"

    def _is_of(self, path: Path, split: str) -> bool:
        """Return whether an image is in a folder of a split, such as `train2017/`."""
        folders = path.relative_to(self._root).parts[:-1]
        return any(words_of(folder) & {*SPLIT_NAMES[split]} for folder in folders)


def words_of(name: str) -> set[str]:
    """Return the words of a file's or folder's name, without numbers.

    >>> sorted(words_of("instances_train2017"))
    ['instances', 'train']
    """
    return set(re.findall("[a-z]+", name.lower()))
