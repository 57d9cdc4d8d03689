"""Tables of accuracy by class and of the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator

from nas.formatting import one_line, percent
from nas.tasks.confusion import ClassScore, Confusion
from nas.tasks.display import Table

MATRIX_CLASSES = 20
"""Maximum number of classes whose matrix fits a terminal."""
WORST = 10
"""Number of classes and of confusions listed if there are more."""


def confusion_tables(confusion: Confusion) -> Iterator[Table]:
    """Yield the confusion matrix; with many classes, the worst classes and most frequent confusions."""
    if len(confusion.seen()) <= MATRIX_CLASSES:
        yield _matrix(confusion)
        return
    yield _weakest(confusion)
    if confusion.mistakes():
        yield _commonest(confusion)


def _matrix(confusion: Confusion) -> Table:
    """Tabulate one row per class: number of images, accuracy, and predictions."""
    seen, scores = confusion.seen(), confusion.by_class()
    rows = []
    for number, place in enumerate(seen, 1):
        counts = (confusion.counts.get((place, given), 0) for given in seen)
        cells = [str(count) if count else "." for count in counts]
        name = f"{number} {one_line(scores[place].name)}"
        rows.append((name, *_figures(scores[place]), *cells))
    numbers = (str(number) for number, _ in enumerate(seen, 1))
    caption = "columns: number of images of the row's class predicted as class 1, 2, ..."
    return Table(("class", "images", "right", *numbers), tuple(rows), caption=caption)


def _weakest(confusion: Confusion) -> Table:
    scores = [score for score in confusion.by_class() if score.images]
    scores.sort(key=lambda score: (score.accuracy or 0.0, score.name))
    return Table(
        ("class", "images", "right"),
        tuple((one_line(score.name), *_figures(score)) for score in scores[:WORST]),
        title=f"least accurate of {len(scores):,} (all: --json)",
    )


def _commonest(confusion: Confusion) -> Table:
    names = confusion.classes
    return Table(
        ("class", "predicted as", "images"),
        tuple(
            (one_line(names[right]), one_line(names[given]), str(count))
            for right, given, count in confusion.mistakes()[:WORST]
        ),
        title="most confused",
        left=2,
    )


def _figures(score: ClassScore) -> tuple[str, str]:
    return str(score.images), "" if score.accuracy is None else percent(score.accuracy)
