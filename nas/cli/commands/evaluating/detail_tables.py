"""Print what an evaluation says beside the metric: by class, by size, or what is confused."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table as Drawn

from nas.tasks.display import Table


def drawn(table: Table) -> Drawn:
    """Return a table for a terminal."""
    found = Drawn(
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
        title=table.title or None,
        title_justify="left",
        caption=table.caption or None,
    )
    for number, column in enumerate(table.columns):
        found.add_column(column, justify="left" if number < table.left else "right")
    for number, row in enumerate(table.rows, 1):
        if table.total and number == len(table.rows):
            found.add_section()
        found.add_row(*row)
    return found
