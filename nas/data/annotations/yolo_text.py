"""Read YOLO's text: a `data.yaml`, and one file an image with a line `class x y width height` an object.

x and y are the center; all four are fractions of the image. A line with more numbers is an outline, of
which the box around it is taken. An image without a file has no objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nas.data.annotations.objects import Annotated, AnnotatedImage, ObjectBox, Problem
from nas.data.folders.layout import SPLIT_NAMES
from nas.data.folders.listing import list_images
from nas.data.image_files.formats import is_image, suffixes
from nas.data.image_files.names import printable
from search_spaces.errors import InputError
from search_spaces.spec import read_yaml

YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
HEAD_BYTES = 1 << 16


def yolo_file(root: Path) -> Path | None:
    """Return the folder's `data.yaml`."""
    return next((root / name for name in YAMLS if (root / name).is_file()), None)


def has_yolo_yaml(root: Path) -> bool:
    """Return whether a folder's `data.yaml` is YOLO's: it names classes or training images."""
    path = yolo_file(root)
    if path is None:
        return False
    with path.open("rb") as file:
        lines = file.read(HEAD_BYTES).splitlines()
    return any(line.startswith((b"names:", b"train:")) for line in lines)


def read_yolo_folder(root: Path) -> Annotated:
    """Read the images and texts that a folder's `data.yaml` names.

    Raises:
        InputError: `data.yaml` lacks train or names, or names a folder that does not exist.
        OSError: A folder cannot be read.
    """
    path = yolo_file(root)
    assert path is not None
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise InputError(f"{printable(str(path))}: expected keys and values")
    classes = _names(document.get("names"), path)
    problems: list[Problem] = []
    splits: dict[str, Sequence[AnnotatedImage]] = {}
    unlabelled = 0
    for split, keys in SPLIT_NAMES.items():
        stated = next((document[key] for key in keys if document.get(key)), None)
        if stated is not None:
            images = list(_images(document, stated, path))
            texts = [_text_of(image) for image in images]
            unlabelled += sum(not text.is_file() for text in texts)
            pairs = zip(images, texts, strict=True)
            splits[split] = [_annotated(image, text, classes, problems) for image, text in pairs]
    if "train" not in splits:
        raise InputError(f"{printable(str(path))} names no training images: add train: FOLDER")
    note = f"{unlabelled:,} images have no text file and are taken as images without objects"
    return Annotated(splits, tuple(problems), classes, (note,) if unlabelled else ())


def _names(stated: object, path: Path) -> tuple[str, ...]:
    where = printable(str(path))
    if isinstance(stated, list) and stated:
        return tuple(map(str, stated))
    if isinstance(stated, dict) and stated:
        try:
            numbered = {int(key): str(value) for key, value in stated.items()}
        except ValueError as error:
            raise InputError(f"{where}: names must map whole numbers to classes") from error
        if sorted(numbered) == list(range(len(numbered))):
            return tuple(numbered[index] for index in range(len(numbered)))
    raise InputError(f"{where}: names must list the classes, from 0 on without a gap")


def _images(document: Mapping[str, object], stated: object, path: Path) -> Iterator[Path]:
    """Yield the images of a split: of folders, or of text files that list images."""
    base = path.parent / str(document.get("path") or "")
    base = base if base.is_dir() else path.parent  # a path of the machine that made the file
    for one in stated if isinstance(stated, list) else [stated]:
        place = _existing(base, str(one), path)
        if place.is_dir():
            yield from list_images(place).images
            continue
        known = suffixes()
        for line in place.read_text(encoding="utf-8").splitlines():
            if line.strip() and is_image(line.strip(), known):
                yield _existing(place.parent, line.strip(), place)


def _existing(base: Path, stated: str, source: Path) -> Path:
    """Return a path that a file states; exporters write `../train/images` for `train/images`."""
    tried = [base / stated, base / stated.removeprefix("../")]
    found = next((place for place in tried if place.exists()), None)
    if found is None:
        raise InputError(
            f"{printable(str(source))} names {printable(stated)}, which does not exist"
        )
    return found


def _text_of(image: Path) -> Path:
    """Return the text of an image: in `labels/` where the image is in `images/`, else next to it.

    >>> _text_of(Path("a/images/train/1.jpg")).as_posix()
    'a/labels/train/1.txt'
    """
    parts = list(image.with_suffix(".txt").parts)
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts[last] = "labels"
    return Path(*parts)


def _annotated(
    image: Path, text: Path, classes: Sequence[str], problems: list[Problem]
) -> AnnotatedImage:
    where = printable(str(text))
    objects = []
    if text.is_file():
        for number, line in enumerate(
            text.read_text(encoding="utf-8", errors="replace").splitlines(), 1
        ):
            if line.strip():
                found = _object(line.split(), classes)
                if isinstance(found, str):
                    problems.append(Problem(where, f"line {number}: {found}"))
                else:
                    objects.append(found)
    return AnnotatedImage(image, where, tuple(objects), fractions=True)


def _object(words: list[str], classes: Sequence[str]) -> ObjectBox | str:
    """Return the object of a line, or what is wrong with it."""
    try:
        class_, *numbers = (float(word) for word in words)
    except ValueError:
        return f"{' '.join(words)[:40]!r} are not numbers"
    if class_ not in range(len(classes)):
        return f"class {words[0]} is not in 0..{len(classes) - 1}"
    if len(numbers) == 4:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
    else:
        return f"expected class x y width height, got {len(words)} numbers"
    return ObjectBox(classes[int(class_)], corners)
