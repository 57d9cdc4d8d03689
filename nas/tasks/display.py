"""What evaluations show to people, as plain data: tables and charts that terminals and reports draw."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        columns: Their titles; the first column names the row.
        rows: Cells, as many as columns.
        title: What it is of, above it.
        caption: How to read it, below it.
        left: Number of columns that hold words, from the left.
        total: Whether the last row is of all the others.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    caption: str = ""
    left: int = 1
    total: bool = False


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Lines:
    """A chart of lines over one pair of axes, both from 0 to 1.

    Attributes:
        title: What it shows.
        note: How to read it.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        curves: The lines.
    """

    title: str
    note: str
    x: str
    y: str
    curves: tuple[Curve, ...] = field(default=())


@dataclass(frozen=True)
class Matrix:
    """A chart of counts in rows and columns.

    Attributes:
        title: What it shows.
        note: How to read it.
        unit: What is counted, such as `images`.
        rows: Names of the rows.
        columns: Names of the columns.
        counts: A tuple for each row.
    """

    title: str
    note: str
    unit: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


Chart = Lines | Matrix


def percent(share: float | None) -> str:
    """Format a fraction in percent without the sign, for columns; `-` where there is none.

    >>> percent(0.1234), percent(None)
    ('12.3', '-')
    """
    return "-" if share is None else f"{100 * share:.1f}"
