"""Read YOLO's text: a `data.yaml`, and one file an image with a line `class x y width height` an object.

A YAML of another name, such as `coco128.yaml`, is read if it alone has both `names` and `train`. Label
Studio writes `classes.txt`, `images/` and `labels/` instead of `data.yaml`.

x and y are the center; all four are fractions of the image. A line with more numbers is an outline, of
which the box around it is taken, or the box is followed by keypoints where `data.yaml` has `kpt_shape`. An
image without a file has no objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nas.data.annotations.lists import read_list
from nas.data.annotations.objects import Annotated, AnnotatedImage, ObjectBox, Problem
from nas.data.annotations.yolo_paths import MissingError, images_of, text_of
from nas.data.folders.layout import SPLIT_NAMES
from nas.data.image_files.names import printable
from search_spaces.errors import InputError
from search_spaces.spec import read_yaml

YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
CLASSES, FOLDERS = "classes.txt", ("images", "labels")
KEYS = (b"names:", b"train:")
HEAD_BYTES = 1 << 16


def yolo_file(root: Path) -> Path | None:
    """Return the folder's `data.yaml`, or `classes.txt` beside `images/` and `labels/`, or another YAML."""
    found = next((root / name for name in YAMLS if (root / name).is_file()), None)
    classes = root / CLASSES
    if found is None and classes.is_file() and all((root / name).is_dir() for name in FOLDERS):
        return classes
    if found is None:
        files = (path for path in root.glob("[!.]*.y*ml") if path.is_file())
        others = [path for path in files if _stated_keys(path) == {*KEYS}]
        return others[0] if len(others) == 1 else None
    return found


def has_yolo_yaml(root: Path) -> bool:
    """Return whether a folder's `data.yaml` is YOLO's: it names classes or training images."""
    path = yolo_file(root)
    return path is not None and (path.name == CLASSES or bool(_stated_keys(path)))


def _stated_keys(path: Path) -> set[bytes]:
    """Return which of the keys that YOLO needs are in a file."""
    with path.open("rb") as file:
        lines = file.read(HEAD_BYTES).splitlines()
    return {key for key in KEYS if any(line.startswith(key) for line in lines)}


def read_yolo_folder(root: Path) -> Annotated:
    """Read the images and texts that a folder's `data.yaml` names.

    A `val` or `test` that does not exist or has no images is left out: exporters name them all the same.

    Raises:
        InputError: `data.yaml` lacks train or names, or its training images do not exist.
        OSError: A folder cannot be read.
    """
    path = yolo_file(root)
    assert path is not None
    document = _of_classes(path) if path.name == CLASSES else read_yaml(path)
    if not isinstance(document, dict):
        raise InputError(f"{printable(str(path))}: expected keys and values")
    lines = _Lines(_names(document.get("names"), path), _keypoint_numbers(document, path))
    problems: list[Problem] = []
    splits: dict[str, Sequence[AnnotatedImage]] = {}
    unlabelled, notes = 0, list[str]()
    for split, keys in SPLIT_NAMES.items():
        stated = next((document[key] for key in keys if document.get(key)), None)
        if stated is None:
            continue
        try:
            images = list(images_of(document, stated, path))
        except MissingError as error:
            if split == "train":
                raise
            notes.append(f"{error}; {split} is taken as not given")
            continue
        if not images and split != "train":
            notes.append(f"{printable(str(path))}: {split} has no images and is taken as not given")
            continue
        texts = [text_of(image, root) for image in images]
        absent = sum(not text.is_file() for text in texts)
        if images and absent == len(images) and split == "train":
            raise InputError(
                f"{printable(str(path))}: none of the {absent:,} training images has a text file with its "
                f"objects: looked for {printable(str(texts[0]))}"
            )
        unlabelled += absent if absent < len(images) else 0  # else the split is left out
        pairs = zip(images, texts, strict=True)
        splits[split] = [_annotated(image, text, lines, problems) for image, text in pairs]
    if "train" not in splits:
        raise InputError(f"{printable(str(path))} names no training images: add train: FOLDER")
    if unlabelled:
        notes.append(
            f"{unlabelled:,} images have no text file and are taken as images without objects"
        )
    return Annotated(splits, tuple(problems), lines.classes, tuple(notes))


def _of_classes(path: Path) -> dict[str, object]:
    """Return what a `data.yaml` would state beside a list of classes, `images/` and `labels/`."""
    return {"names": read_list(path), "train": FOLDERS[0]}


class _Lines(NamedTuple):
    """How the lines of texts are read.

    Attributes:
        classes: Class names.
        keypoints: Numbers of the keypoints behind each box; 0 if there are none.
    """

    classes: tuple[str, ...]
    keypoints: int


def _keypoint_numbers(document: Mapping[str, object], path: Path) -> int:
    """Return how many numbers a pose's keypoints have: `kpt_shape` is their number and 2 or 3."""
    stated = document.get("kpt_shape")
    if stated is None:
        return 0
    if isinstance(stated, list) and len(stated) == 2 and all(isinstance(n, int) for n in stated):
        return int(stated[0]) * int(stated[1])
    raise InputError(f"{printable(str(path))}: kpt_shape must be two whole numbers, got {stated!r}")


def _names(stated: object, path: Path) -> tuple[str, ...]:
    where = printable(str(path))
    if isinstance(stated, dict):
        try:
            numbered = {int(key): str(value) for key, value in stated.items()}
        except ValueError as error:
            raise InputError(f"{where}: names must map whole numbers to classes") from error
        if sorted(numbered) == list(range(len(numbered))):
            stated = [numbered[index] for index in range(len(numbered))]
    if not isinstance(stated, list) or not stated:
        raise InputError(f"{where}: names must list the classes, from 0 on without a gap")
    classes = tuple(map(str, stated))
    if twice := next((name for name in classes if classes.count(name) > 1), None):
        raise InputError(f"{where}: names lists {printable(twice)} twice: give each class its name")
    return classes


def _annotated(image: Path, text: Path, lines: _Lines, problems: list[Problem]) -> AnnotatedImage:
    where = printable(str(text))
    objects = []
    if text.is_file():
        for number, line in enumerate(
            text.read_text(encoding="utf-8", errors="replace").splitlines(), 1
        ):
            if line.strip():
                found = _object(line.split(), lines)
                if isinstance(found, str):
                    problems.append(Problem(where, f"line {number}: {found}"))
                else:
                    objects.append(found)
    return AnnotatedImage(image, where, tuple(objects), fractions=True)


def _object(words: list[str], lines: _Lines) -> ObjectBox | str:
    """Return the object of a line, or what is wrong with it."""
    classes = lines.classes
    try:
        class_, *numbers = (float(word) for word in words)
    except ValueError:
        return f"{' '.join(words)[:40]!r} are not numbers"
    if class_ not in range(len(classes)):
        return f"class {words[0]} is not in 0..{len(classes) - 1}"
    if lines.keypoints and len(numbers) == 4 + lines.keypoints:
        numbers = numbers[:4]
    elif lines.keypoints and len(numbers) != 4:
        return f"expected 5 numbers and {lines.keypoints} of keypoints, got {len(words)}"
    if len(numbers) == 4:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
    else:
        return f"expected class x y width height, got {len(words)} numbers"
    return ObjectBox(classes[int(class_)], corners)
