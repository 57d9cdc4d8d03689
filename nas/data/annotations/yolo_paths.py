"""Find the images that YOLO's `data.yaml` names, and their texts, also where it was made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from nas.data.annotations.lists import read_list
from nas.data.folders.layout import SPLIT_NAMES
from nas.data.folders.listing import list_images
from nas.data.image_files.formats import is_image, suffixes
from nas.data.image_files.names import printable
from search_spaces.errors import InputError


class MissingError(InputError):
    """A path that a file states does not exist."""


def images_of(document: Mapping[str, object], stated: object, path: Path) -> Iterator[Path]:
    """Yield the images of a split: of folders, or of text files that list images.

    Args:
        document: What `data.yaml` states.
        stated: What it states for the split.
        path: The file itself.

    Raises:
        MissingError: A folder, list or image does not exist.
        InputError: A list is not UTF-8.
    """
    base = path.parent / str(document.get("path") or "")
    base = base if base.is_dir() else path.parent  # a path of the machine that made the file
    for one in stated if isinstance(stated, list) else [stated]:
        place = _existing(base, str(one), path)
        if place.is_dir():
            yield from list_images(place).images
            continue
        known = suffixes()
        for line in read_list(place):
            if is_image(line, known):
                yield _existing(place.parent, line, place)


def _existing(base: Path, stated: str, source: Path) -> Path:
    """Return a path that a file states, also where the file was made for another folder.

    Exporters write `../train/images` for `train/images`, or the whole path on the machine that made it,
    which may have been Windows.

    Raises:
        MissingError: It does not exist.
    """
    plain = stated.replace("\\", "/")
    tried = [
        base / stated,
        base / plain,
        base / plain.removeprefix("../"),
        *(base / end for end in _ends(plain)),
    ]
    found = next((place for place in tried if place.exists()), None)
    if found is None:
        raise MissingError(
            f"{printable(str(source))} names {printable(stated)}, which does not exist: correct the path, "
            "or remove the line"
        )
    return found


def _ends(stated: str) -> Iterator[Path]:
    """Yield the ends of a path that another folder has in front of it, but for names as `images` alone.

    >>> [end.as_posix() for end in _ends("/content/pets/train/images")]
    ['content/pets/train/images', 'pets/train/images', 'train/images']
    >>> [end.as_posix() for end in _ends("D:/pets/train")]
    ['pets/train', 'train']
    """
    parts = PurePosixPath(stated).parts
    splits = {name for names in SPLIT_NAMES.values() for name in names}
    if parts and (parts[0] in ("/", "//", "..") or parts[0].endswith(":")):
        for start in range(1, len(parts)):
            if len(parts) - start > 1 or parts[-1].lower() in splits:
                yield Path(*parts[start:])


def text_of(image: Path, root: Path) -> Path:
    """Return the text of an image: in `labels/` where the image is in `images/`, or else next to it.

    Folders above the data set's own may be called `images` too.

    >>> text_of(Path("images/pets/images/train/1.jpg"), Path("images/pets")).as_posix()
    'images/pets/labels/train/1.txt'
    """
    beside = image.with_suffix(".txt")
    base = root if image.is_relative_to(root) else Path(image.anchor)
    parts = list(beside.relative_to(base).parts)
    if "images" not in parts:
        return beside
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    text = base.joinpath(*parts)
    return beside if beside.is_file() and not text.is_file() else text
