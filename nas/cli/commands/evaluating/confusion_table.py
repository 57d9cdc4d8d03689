"""Print accuracy by class and the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE
from rich.table import Table

from nas.formatting import one_line, percent
from nas.tasks.confusion import ClassScore, Confusion

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
    table = _table("class", "images", "right")
    table.caption = "columns: number of images of the row's class predicted as class 1, 2, ..."
    for number, _ in enumerate(seen, 1):
        table.add_column(str(number), justify="right")
    for number, place in enumerate(seen, 1):
        counts = (confusion.counts.get((place, given), 0) for given in seen)
        cells = [str(count) if count else "." for count in counts]
        table.add_row(f"{number} {one_line(scores[place].name)}", *_figures(scores[place]), *cells)
    return table


def _weakest(confusion: Confusion) -> Table:
    scores = [score for score in confusion.by_class() if score.images]
    scores.sort(key=lambda score: (score.accuracy or 0.0, score.name))
    table = _table("class", "images", "right")
    table.title = f"least accurate of {len(scores):,} (all: --json)"
    for score in scores[:WORST]:
        table.add_row(one_line(score.name), *_figures(score))
    return table


def _commonest(confusion: Confusion) -> Table:
    names = confusion.classes
    table = _table("class", "predicted as", "images")
    table.columns[1].justify = "left"
    table.title = "most confused"
    for right, given, count in confusion.mistakes()[:WORST]:
        table.add_row(one_line(names[right]), one_line(names[given]), str(count))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, collapse_padding=True, title_justify="left")
    table.add_column(first)
    for title in others:
        table.add_column(title, justify="right")
    return table


def _figures(score: ClassScore) -> tuple[str, str]:
    return str(score.images), "" if score.accuracy is None else percent(score.accuracy)
