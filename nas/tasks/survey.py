"""What is annotated in a data set, for people and as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.regions import Regions
from nas.formatting import counted, one_line
from nas.tasks.display import Table, percent

ByImage = Sequence[Regions]
"""What is annotated in each image of a split."""


@dataclass(frozen=True)
class Survey:
    """What is annotated in a data set.

    Attributes:
        tables: Counts by class and split.
        lines: What else there is to say, one line each.
        document: The same, and more, as plain data.
    """

    tables: tuple[Table, ...]
    lines: tuple[str, ...]
    document: Mapping[str, Any]


def images_with(images: ByImage, class_: int) -> int:
    """Return how many images have a class."""
    return sum(bool((one.counted() == class_).any()) for one in images)


def shares_of(images: ByImage, class_: int) -> NDArray[np.float64]:
    """Return the fraction of its image that each part of a class covers, (n,)."""
    found = [one.shares[(one.classes == class_) & ~one.ignored] for one in images]
    return np.concatenate([np.zeros(0), *found])


def survey(
    splits: Mapping[str, ByImage],
    classes: Sequence[str],
    *,
    cell: Callable[[ByImage, int], str],
    caption: str,
    whole: str,
) -> Survey:
    """Tabulate parts of images.

    Args:
        splits: What is annotated in each image, by split.
        classes: Names of the classes.
        cell: Returns what the table says of a class in a split.
        caption: What that is.
        whole: What an image without parts lacks.
    """
    every = [one for images in splits.values() for one in images]
    rows = tuple(
        (
            one_line(name),
            *(cell(images, index) for images in splits.values()),
            _size(shares_of(every, index)),
        )
        for index, name in enumerate(classes)
    )
    total = ("images", *(f"{len(images):,}" for images in splits.values()), "")
    empty = {split: sum(not len(one.counted()) for one in part) for split, part in splits.items()}
    table = Table(
        ("class", *splits, "size, %"),
        (*rows, total),
        caption=f"{caption}; size: median share of the image, in brackets the range of the middle 80%",
        total=True,
    )
    lines = [f"{by_split(empty, 'image')} without {whole}"] if any(empty.values()) else []
    document = {
        "images_without": empty,
        "share_of_image": [_quantiles(shares_of(every, index)) for index, _ in enumerate(classes)],
    }
    return Survey((table,), tuple(lines), document)


def _size(shares: NDArray[np.float64]) -> str:
    found = _quantiles(shares)
    if found is None:
        return "-"
    return f"{percent(found['median'])} ({percent(found['p10'])} to {percent(found['p90'])})"


def _quantiles(shares: NDArray[np.float64]) -> dict[str, float] | None:
    """Return the median and the 10% and 90% quantiles; None if there are no shares."""
    if not len(shares):
        return None
    low, middle, high = np.quantile(shares, [0.1, 0.5, 0.9]).tolist()
    return {"p10": low, "median": middle, "p90": high}


def by_split(counts: Mapping[str, int], thing: str) -> str:
    """Say how many there are, and in which splits.

    >>> by_split({"train": 3, "val": 0, "test": 1}, "image")
    '4 images (train 3, test 1)'
    """
    named = ", ".join(f"{split} {count:,}" for split, count in counts.items() if count)
    return f"{counted(sum(counts.values()), thing)} ({named})"
