"""Read COCO's JSON: one file a split."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.data.annotations.objects import (
    Annotated,
    AnnotatedImage,
    ObjectBox,
    Problem,
)
from nas.data.folders.layout import SPLIT_NAMES, split_folders
from nas.data.folders.listing import list_images
from nas.data.image_files.names import printable
from search_spaces.errors import InputError

NAMES = ("instances_", "_annotations.coco")
"""COCO's and Roboflow's names; other JSON files are opened to see whether they hold what COCO's do."""

KEYS = (b'"images"', b'"annotations"', b'"categories"')
HEAD_BYTES = 1 << 20


def has_coco_json(root: Path) -> bool:
    """Return whether a folder has COCO's JSON for its training images."""
    path = coco_files(root).get("train")
    if path is None or path.name.startswith(NAMES):
        return path is not None
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return any(key in head for key in KEYS)


def coco_files(root: Path) -> dict[str, Path]:
    """Return the JSON of each split.

    It lies in the split's folder (`train/_annotations.coco.json`), in `annotations/` or the folder itself
    with the split's name in its own (`annotations/instances_train2017.json`).
    """
    found: dict[str, Path] = {}
    for split, folder in split_folders(root).items():
        inside = sorted(folder.glob("*.json"))
        if len(inside) == 1:
            found[split] = inside[0]
    if "train" in found:
        return found
    beside = [*sorted((root / "annotations").glob("*.json")), *sorted(root.glob("*.json"))]
    named = {
        split: [path for path in beside if any(name in path.stem.lower() for name in names)]
        for split, names in SPLIT_NAMES.items()
    }
    boxes = {
        split: [path for path in paths if "instances" in path.stem] or paths
        for split, paths in named.items()
    }
    return {split: paths[0] for split, paths in boxes.items() if paths}


def read_coco_folder(root: Path) -> Annotated:
    """Read the JSON files of a folder.

    Classes are the categories of train in the order of their ids, which need not be consecutive.

    Raises:
        InputError: A file is not COCO's JSON.
        OSError: One cannot be read.
    """
    files = coco_files(root)
    images = _Images(root)
    problems: list[Problem] = []
    documents = {split: read_document(path) for split, path in files.items()}
    splits = {
        split: list(_annotated(documents[split], path, images, problems))
        for split, path in files.items()
    }
    categories = sorted(_categories(documents["train"], files["train"]).items())
    used = {one.image for split in splits.values() for one in split}
    unused = len(images.paths) - len(used)
    notes = (f"{unused:,} images of {printable(root.name)} are in no JSON file and are left out",)
    return Annotated(
        splits, tuple(problems), tuple(name for _, name in categories), notes if unused else ()
    )


class _Images:
    """The image files below a folder, found by the end of their path."""

    def __init__(self, root: Path) -> None:
        self.paths = list_images(root).images
        self._by_name: Mapping[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[path.name].append(path)

    def find(self, name: str, near: Path) -> Path | None:
        """Return the file of a name, which may state folders; of several, the one near a JSON file."""
        parts = Path(name.replace("\\", "/")).parts
        fitting = [
            path
            for path in self._by_name.get(parts[-1] if parts else "", [])
            if path.parts[-len(parts) :] == parts
        ]
        split = near.stem.lower()
        inside = [path for path in fitting if near.parent in path.parents]
        named = [
            path for path in fitting if any(part.lower() in split for part in path.parts[-3:-1])
        ]
        return next(iter(inside or named or fitting), None)


def read_document(path: Path) -> Mapping[str, Any]:
    """Read a file.

    Raises:
        InputError: It is not COCO's JSON.
        OSError: It cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{printable(str(path))} is not JSON: {error}") from error
    lists = ("images", "annotations", "categories")
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), list) for key in lists
    ):
        raise InputError(
            f"{printable(str(path))} is not COCO's JSON: it needs the lists {', '.join(lists)}"
        )
    return document


def _categories(document: Mapping[str, Any], path: Path) -> dict[int, str]:
    try:
        return {int(one["id"]): str(one["name"]) for one in document["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{printable(str(path))}: each of its categories needs a whole id and a name"
        ) from error


def _annotated(
    document: Mapping[str, Any], path: Path, images: _Images, problems: list[Problem]
) -> Iterator[AnnotatedImage]:
    where, categories = printable(str(path)), _categories(document, path)
    objects: dict[Any, list[ObjectBox]] = defaultdict(list)
    known = {one.get("id") for one in document["images"] if isinstance(one, dict)}
    for number, one in enumerate(document["annotations"]):
        found = _object(one, categories)
        image = one.get("image_id") if isinstance(one, dict) else None
        if isinstance(found, ObjectBox) and image in known:
            objects[image].append(found)
        else:
            name = one.get("id", number) if isinstance(one, dict) else number
            what = found if isinstance(found, str) else f"there is no image {image!r}"
            problems.append(Problem(where, f"annotation {name}: {what}"))
    for one in document["images"]:
        stated = one.get("file_name") if isinstance(one, dict) else None
        if not isinstance(stated, str) or "id" not in one:
            problems.append(Problem(where, f"an image without id or file_name: {str(one)[:60]}"))
            continue
        file = images.find(stated, path)
        if file is None:
            problems.append(Problem(where, f"there is no image {printable(stated)}"))
            continue
        yield AnnotatedImage(
            file, f"{where}: {printable(stated)}", tuple(objects[one["id"]]), _size(one)
        )


def _object(one: Any, categories: Mapping[int, str]) -> ObjectBox | str:
    """Return the object, or what is wrong with it."""
    if not isinstance(one, dict):
        return "it is no object"
    try:
        x, y, width, height = (float(value) for value in one["bbox"])
    except (KeyError, TypeError, ValueError):
        return f"bbox must be four numbers, got {one.get('bbox')!r}"
    if one.get("category_id") not in categories:
        return f"there is no category {one.get('category_id')!r}"
    name = categories[one["category_id"]]
    return ObjectBox(name, (x, y, x + width, y + height), bool(one.get("iscrowd", 0)))


def _size(one: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = one.get("width"), one.get("height")
    if isinstance(width, int | float) and isinstance(height, int | float) and width > 0 < height:
        return round(width), round(height)
    return None
