"""Print what an evaluation says beside the metric: by class, by size, or what is confused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from nas.cli.commands.evaluating.confusion_table import confusion_tables
from nas.formatting import one_line
from nas.tasks.confusion import Confusion
from nas.tasks.task import Evidence


def detail_tables(evidence: Evidence, classes: Sequence[str]) -> Iterator[Table]:
    """Yield tables of an evaluation's details."""
    from nas.tasks.classification import Answers  # imports torch

    if isinstance(evidence, Answers):
        yield from confusion_tables(Confusion.of(evidence, tuple(classes)))
        return
    details = evidence.details(classes)
    figures = {key: value for key, value in details.items() if not isinstance(value, list)}
    if figures:
        yield _table([figures])
    if details.get("by_class"):
        yield _table(details["by_class"])


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Tabulate rows of the same keys."""
    table = Table(box=SIMPLE, pad_edge=False)
    for key in rows[0]:
        table.add_column(key.replace("_", " "), justify="left" if key == "class" else "right")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def _shown(value: object) -> str:
    """Format a cell.

    >>> _shown(0.1234), _shown(None), _shown(7)
    ('12.3', '-', '7')
    """
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if isinstance(value, float) else one_line(str(value))
