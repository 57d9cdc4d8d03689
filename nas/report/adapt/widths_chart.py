"""The NetAdapt report's chart of a network's widths, layer by layer, before and after."""

from __future__ import annotations

from collections.abc import Mapping

from nas.report.charts import AXIS, BLUE, GREY, LAYOUT, Figure
from nas.report.width_table import Pair, WidthRow, width_rows
from search_spaces import ArchSpec

HEAD = ("head", "hidden", "filters")
"""Rows of the head that have one width."""


def widths_before_and_after(before: ArchSpec, after: ArchSpec) -> Figure:
    """Plot two panels over the layers, of the head those that changed: expansions, and outputs.

    The seed is drawn as an outline, the adapted network filled.
    """
    # The head is by far the widest; drawn without need it would make all other layers look narrow.
    rows = [row for row in width_rows(before, after) if _in_body(row) or _changed(row)]
    inner = {_place(r): r.expansion for r in rows if r.expansion} | {
        r.name: r.output for r in rows if r.name in HEAD
    }
    outer = {_place(r): r.output for r in rows if r.name not in HEAD}
    layout = LAYOUT | {
        "height": 470,
        "barmode": "overlay",
        "bargap": 0.25,
        "xaxis": AXIS
        | {
            "title": {"text": "Block"},
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [_place(row) for row in rows],
            "anchor": "y2",
            "showgrid": False,
            "tickfont": {"size": 11},
        },
        "yaxis": AXIS | {"domain": [0.56, 1.0], "title": {"text": "Expansion"}},
        "yaxis2": AXIS | {"domain": [0.0, 0.44], "title": {"text": "Output"}},
    }
    data = [
        *_bars(inner, axis="y", legend=True),
        *_bars(outer, axis="y2", legend=False),
    ]
    return {"data": data, "layout": layout}


def _in_body(row: WidthRow) -> bool:
    return row.name.startswith(("stem", "block"))


def _changed(row: WidthRow) -> bool:
    pairs = (row.expansion, row.output)
    return any(pair is not None and pair[0] != pair[1] for pair in pairs)


def _place(row: WidthRow) -> str:
    """Return a layer's tick label."""
    return row.name.removeprefix("block ")


def _bars(widths: Mapping[str, Pair], *, axis: str, legend: bool) -> list[Figure]:
    drawn = {
        "type": "bar",
        "x": list(widths),
        "yaxis": axis,
        "hovertext": [_hover(place, pair) for place, pair in widths.items()],
        "hoverinfo": "text",
        "showlegend": legend,
    }
    before, after = zip(*widths.values(), strict=True) if widths else ((), ())
    outline = {"color": "#EDF0F3", "line": {"color": GREY, "width": 1.2}}
    filled = {"color": BLUE, "line": {"color": BLUE, "width": 1.2}}
    return [
        drawn | {"name": "the seed", "y": list(before), "marker": outline},
        drawn | {"name": "adapted", "y": list(after), "marker": filled},
    ]


def _hover(place: str, pair: Pair) -> str:
    before, after = pair
    name = f"block {place}" if place.isdecimal() else place
    change = f"{before} channels" if before == after else f"{before} -> {after} channels"
    if not after:
        change = f"{before} channels, dropped"
    return f"<b>{name}</b><br>{change}"
