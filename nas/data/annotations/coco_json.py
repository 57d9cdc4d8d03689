"""Read COCO's JSON: one file a split."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

from nas.data.annotations.named_images import NamedImages, words_of
from nas.data.annotations.objects import (
    Annotated,
    AnnotatedImage,
    ObjectBox,
    Problem,
)
from nas.data.folders.layout import SPLIT_NAMES, split_folders
from nas.data.image_files.names import printable
from search_spaces.errors import InputError

NAMES = ("instances_", "_annotations.coco")
"""COCO's and Roboflow's names; other JSON files are opened to see whether they hold what COCO's do."""

WITHOUT_OBJECTS = ("image_info_", "captions_", "panoptic_")
"""Names of COCO's JSON files without boxes."""

KEYS = (b'"images"', b'"annotations"', b'"categories"')
SAME = 1e-7
"""Relative difference of coordinates that float32 cannot hold."""

LOOKED_AT_BYTES = 1 << 20
"""At the beginning and at the end of a file."""


def has_coco_json(root: Path) -> bool:
    """Return whether a folder has COCO's JSON for its training images."""
    path = coco_files(root).get("train")
    return path is not None and (path.name.startswith(NAMES) or _looks_like_coco(path))


def _looks_like_coco(path: Path) -> bool:
    with path.open("rb") as file:
        seen = file.read(LOOKED_AT_BYTES)
        file.seek(max(file.tell(), path.stat().st_size - LOOKED_AT_BYTES))
        seen += file.read()
    return sum(key in seen for key in KEYS) > 1


def coco_files(root: Path) -> dict[str, Path]:
    """Return the JSON of each split.

    It is in the split's folder (`train/_annotations.coco.json`), or in `annotations/` or the folder itself
    with the split's name in its own (`annotations/instances_train2017.json`; `trainval` is train). A single
    file without a split's name, as CVAT and Label Studio write it, is that of train.
    """
    found: dict[str, Path] = {}
    for split, folder in split_folders(root).items():
        inside = sorted(folder.glob("*.json"))
        if len(inside) == 1:
            found[split] = inside[0]
    if "train" in found:
        return found
    beside = [*sorted((root / "annotations").glob("*.json")), *sorted(root.glob("*.json"))]
    beside = [path for path in beside if not path.name.startswith(WITHOUT_OBJECTS)]
    for split, names in SPLIT_NAMES.items():
        named = [path for path in beside if words_of(path.stem) & {*names}]
        if split == "train":
            named = named or [path for path in beside if "trainval" in words_of(path.stem)]
        boxes = [path for path in named if "instances" in words_of(path.stem)] or named
        if boxes:
            found[split] = boxes[0]
            beside = [path for path in beside if path not in named]
    if not found and len(beside) == 1 and _looks_like_coco(beside[0]):
        found["train"] = beside[0]
    return found


def read_coco_folder(root: Path) -> Annotated:
    """Read the JSON files of a folder.

    Classes are the categories of train in the order of their ids, which need not be consecutive; of equal
    names only the first counts. A category that only groups others, as Roboflow writes them, is left out.
    Boxes without area, of which COCO's own files have some, are left out too.

    Raises:
        InputError: A file is not COCO's JSON.
        OSError: One cannot be read.
    """
    files = coco_files(root)
    images = NamedImages(root)
    problems: list[Problem] = []
    documents = {split: read_document(path) for split, path in files.items()}
    read = {
        split: _merged(_annotated(documents[split], path, split, images, problems), problems)
        for split, path in files.items()
    }
    splits = {split: [_with_areas(one) for one in part] for split, part in read.items()}
    notes = []
    if flat := _objects(read) - _objects(splits):
        notes.append(f"{flat:,} boxes without area are left out")
    used = {one.image for part in splits.values() for one in part}
    if unused := len(images.paths) - len(used):
        where = printable(root.name)
        notes.append(f"{unused:,} images of {where} are in no JSON file and are left out")
    return Annotated(splits, tuple(problems), _classes(documents, files, splits), tuple(notes))


def _merged(listed: Iterable[AnnotatedImage], problems: list[Problem]) -> list[AnnotatedImage]:
    """Return each image once: some tools list one under two ids, with some of its objects each."""
    merged: dict[Path, AnnotatedImage] = {}
    for one in listed:
        first = merged.setdefault(one.image, one)
        if (first.annotation, first.size) != (one.annotation, one.size):
            what = f"has the same image as {first.annotation}, {one.image.name}"
            problems.append(Problem(one.annotation, what))
        elif first is not one:
            objects = dict.fromkeys((*first.objects, *one.objects))
            merged[one.image] = replace(first, objects=tuple(objects))
    return [*merged.values()]


def _with_areas(one: AnnotatedImage) -> AnnotatedImage:
    """Return an image without its boxes of no width or height."""

    def has_area(box: ObjectBox) -> bool:
        x1, y1, x2, y2 = box.corners
        return not (isclose(x1, x2, rel_tol=SAME) or isclose(y1, y2, rel_tol=SAME))

    return replace(one, objects=tuple(filter(has_area, one.objects)))


def _objects(splits: Mapping[str, Sequence[AnnotatedImage]]) -> int:
    return sum(len(one.objects) for part in splits.values() for one in part)


def _classes(
    documents: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, Path],
    splits: Mapping[str, Sequence[AnnotatedImage]],
) -> tuple[str, ...]:
    """Return the categories of train, but for those without objects that only group others."""
    categories = sorted(_categories(documents["train"], files["train"]).items())
    groups = {one.get("supercategory") for one in documents["train"]["categories"]}
    used = {box.name for part in splits.values() for one in part for box in one.objects}
    names = dict.fromkeys(name for _, name in categories)
    return tuple(name for name in names if name in used or name not in groups)


def read_document(path: Path) -> Mapping[str, Any]:
    """Read a file.

    Raises:
        InputError: It is not COCO's JSON.
        OSError: It cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
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
    named: dict[int, str] = {}
    for one in document["categories"]:
        id_ = _id(one.get("id")) if isinstance(one, dict) else None
        if not isinstance(id_, int) or "name" not in one:
            raise InputError(
                f"{printable(str(path))}: each of its categories needs a whole id and a name"
            )
        named[id_] = str(one["name"])
    return named


def _id(stated: Any) -> int | str | None:
    """Return an id as a number where it is one: some tools write '3' in one place and 3 in another.

    >>> _id("3"), _id(3.0), _id("a3"), _id(None)
    (3, 3, 'a3', None)
    """
    if isinstance(stated, float) and stated.is_integer():
        return int(stated)
    text = str(stated).strip()
    if re.fullmatch("-?[0-9]{1,20}", text):
        return int(text)
    return None if stated is None else text


def _annotated(
    document: Mapping[str, Any],
    path: Path,
    split: str,
    images: NamedImages,
    problems: list[Problem],
) -> Iterator[AnnotatedImage]:
    where, categories = printable(str(path)), _categories(document, path)
    objects: dict[Any, list[ObjectBox]] = defaultdict(list)
    known = Counter(_id(one.get("id")) for one in document["images"] if isinstance(one, dict))
    for number, one in enumerate(document["annotations"]):
        found = _object(one, categories)
        image = one.get("image_id") if isinstance(one, dict) else None
        if isinstance(found, ObjectBox) and _id(image) in known:
            objects[_id(image)].append(found)
        else:
            name = one.get("id", number) if isinstance(one, dict) else number
            what = found if isinstance(found, str) else f"there is no image {image!r}"
            problems.append(Problem(where, f"annotation {name}: {what}"))
    problems += [
        Problem(where, f"{count} images have the id {id_}")
        for id_, count in known.items()
        if id_ is not None and count > 1
    ]
    for one in document["images"]:
        stated = one.get("file_name") if isinstance(one, dict) else None
        if not isinstance(stated, str) or _id(one.get("id")) is None:
            problems.append(Problem(where, f"an image without id or file_name: {str(one)[:60]}"))
            continue
        file = images.find(stated, split)
        if isinstance(file, str):
            problems.append(Problem(where, file))
            continue
        place = f"{where}: {printable(stated)}"
        yield AnnotatedImage(file, place, tuple(objects[_id(one["id"])]), _size(one))


def _object(one: Any, categories: Mapping[int, str]) -> ObjectBox | str:
    """Return the object, or what is wrong with it."""
    if not isinstance(one, dict):
        return "it is no object"
    try:
        x, y, width, height = (float(value) for value in one["bbox"])
    except (KeyError, TypeError, ValueError):
        return f"bbox must be four numbers, got {one.get('bbox')!r}"
    category = _id(one.get("category_id"))
    if not isinstance(category, int) or category not in categories:
        return f"there is no category {one.get('category_id')!r}"
    return ObjectBox(
        categories[category], (x, y, x + width, y + height), bool(one.get("iscrowd", 0))
    )


def _size(one: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = one.get("width"), one.get("height")
    if isinstance(width, int | float) and isinstance(height, int | float) and width > 0 < height:
        return round(width), round(height)
    return None
