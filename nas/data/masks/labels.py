"""Lists of classes beside masks: `labels.txt`, CVAT's `labelmap.txt` with colors, and Pascal VOC's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nas.data.annotations.objects import Problem
from nas.data.masks.coding import IGNORED, MOST_CLASSES, Coding, Color
from nas.data.masks.masked import shown

LABELS = "labels.txt"
"""A class a line."""

CLASS_NAMES = "class_names.txt"
"""The same, as labelme's converter writes it."""

LABELME_IGNORED = "__ignore__"
"""First line of labelme's lists, which it numbers from -1: 255 in masks."""

LABEL_MAP = "labelmap.txt"
"""A class a line, as NAME:RED,GREEN,BLUE, of which CVAT writes more columns."""

VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

VOC_IGNORED: Color = (224, 224, 192)
"""The color of value 255 in VOC's palette, which CVAT leaves out of its list."""


@dataclass(frozen=True)
class Labels:
    """A list of classes.

    Attributes:
        classes: Class names.
        coding: How masks stand for them.
        problems: What is wrong with the list.
    """

    classes: tuple[str, ...]
    coding: Coding
    problems: tuple[Problem, ...] = ()


def read_labels(root: Path) -> Labels | None:
    """Return the classes that a folder lists; None if it has no list.

    Raises:
        OSError: The list cannot be read.
    """
    for name, parse in ((LABEL_MAP, _colored), (LABELS, _plain), (CLASS_NAMES, _plain)):
        path = root / name
        if path.is_file():
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            return parse(shown(path), lines)
    return None


def voc_labels() -> Labels:
    """Return Pascal VOC's 21 classes."""
    colors = {voc_color(index): index for index in range(len(VOC_CLASSES))}
    coding = Coding.of_indices(len(VOC_CLASSES), colors | {VOC_IGNORED: IGNORED})
    return Labels(VOC_CLASSES, coding)


def voc_color(index: int) -> Color:
    """Return a color of Pascal VOC's palette, which other tools use as well.

    The bits of the index are dealt to red, green and blue in turn, and fill each from its highest bit.

    >>> voc_color(1), voc_color(15), voc_color(255)
    ((128, 0, 0), (192, 128, 128), (224, 224, 192))
    """
    channels = [
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
        for channel in range(3)
    ]
    return channels[0], channels[1], channels[2]


def _plain(where: str, lines: list[str]) -> Labels:
    names = [line.strip() for line in lines if line.strip()]
    return _labels(where, names[names[:1] == [LABELME_IGNORED] :], {}, [])


def _colored(where: str, lines: list[str]) -> Labels:
    names: list[str] = []
    colors: dict[Color, int] = {VOC_IGNORED: IGNORED}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        color = _color(rest.partition(":")[0])
        if color is None or not name:
            problems.append(
                Problem(where, f"line {number} is {line!r}, expected NAME:RED,GREEN,BLUE")
            )
        elif colors.get(color, IGNORED) != IGNORED:
            other = names[colors[color]]
            problems.append(Problem(where, f"line {number}: {name} has the color of {other}"))
        else:
            colors[color] = len(names)
            names.append(name)
    return _labels(where, names, colors, problems)


def _color(text: str) -> Color | None:
    """Return a color from 'RED,GREEN,BLUE'."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        return None
    red, green, blue = map(int, parts)
    return (red, green, blue) if max(red, green, blue) < 256 else None


def _labels(
    where: str, names: list[str], colors: dict[Color, int], problems: list[Problem]
) -> Labels:
    wrong = [*problems, *(Problem(where, f"{name} is listed twice") for name in _repeated(names))]
    if not problems and not 2 <= len(names) <= MOST_CLASSES:
        wrong.append(
            Problem(where, f"lists {len(names)} classes, and 2 to {MOST_CLASSES} are possible")
        )
    coding = Coding.of_indices(min(len(names), MOST_CLASSES), colors)
    return Labels(tuple(names), coding, tuple(wrong))


def _repeated(names: list[str]) -> Iterator[str]:
    return (name for name in dict.fromkeys(names) if names.count(name) > 1)
