"""What a network does on test images, as a page of its own and as a part of other reports."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.export.evaluation.examined import Examined, read_examined
from nas.formatting import counted, percent
from nas.report.charts import AXIS, BLUE, LAYOUT, Figure
from nas.report.page import render_page
from nas.tasks.display import Chart, Curve, Lines

MOST_CURVES = 12
"""Curves of more classes could not be told apart: those with the least area below them are drawn."""

MOST_NUMBERED = 15
"""Rows of a matrix whose cells have their number in them."""

LONG_COUNT = 1000
"""Above it, the numbers of a matrix are percentages of their row."""

ROW_PX, AROUND_PX, NAME_PX = 30, 110, 7


class Part(NamedTuple):
    """The part of a page that shows an evaluation.

    Attributes:
        values: Template variables of `evaluation_part.html` and `evaluation_section.html`; the page's own
            template includes one of them.
        figures: The charts, by the ids of their elements.
    """

    values: dict[str, Any]
    figures: dict[str, Figure]


def evaluation_part(examined: Examined | None) -> Part:
    """Return the part of a page that shows an evaluation; an empty one if there is none."""
    charts = {} if examined is None else {f"chart-{i}": c for i, c in enumerate(examined.charts)}
    values = {
        "evaluated": examined,
        "evaluation": None if examined is None else _headline(examined),
        "evaluation_charts": charts,
        "evaluation_paired": examined is not None
        and any(len(one.pictures) > 1 for one in examined.worst),
    }
    return Part(values, {id_: figure_of(chart) for id_, chart in charts.items()})


def evaluation_of_run(folder: RunFolder, *, finished: bool) -> Part:
    """Return the part of a run's report that shows what its network does on the test images.

    It is empty for a run that is not finished, or whose folder has no evaluation.

    Raises:
        InputError: The file of the evaluation is damaged.
    """
    return evaluation_part(read_examined(folder) if finished else None)


def write_evaluation(
    path: Path, examined: Examined, *, network: str, details: Sequence[tuple[str, str]]
) -> None:
    """Write the page of an evaluation.

    Args:
        path: The HTML file.
        examined: The evaluation.
        network: The network's file.
        details: Names and values of further facts.

    Raises:
        InputError: The file cannot be written.
    """
    part = evaluation_part(examined)
    page = render_page(
        "evaluation_template.html",
        kind="Evaluation",
        run={"name": network},
        headline=(_headline(examined),),
        verdict=(),
        alike=False,
        details=details,
        failures=(),
        figures=part.figures,
        **part.values,
    )
    write_whole(path, page)


def _headline(examined: Examined) -> str:
    low, high = examined.ci95
    return (
        f"{percent(examined.value)} {examined.metric} (95% interval {percent(low)} to {percent(high)}) on "
        f"{counted(examined.images, 'image')} at {examined.px} px."
    )


def figure_of(chart: Chart) -> Figure:
    """Draw a chart of an evaluation."""
    return _lines(chart) if isinstance(chart, Lines) else _matrix(chart)


def _lines(chart: Lines) -> Figure:
    curves = sorted(chart.curves, key=_area)[:MOST_CURVES]
    drawn = [curve for curve in chart.curves if curve in curves]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": escape(curve.name),
            "x": curve.x,
            "y": curve.y,
            "hovertemplate": f"{escape(curve.name)}<br>{chart.x} %{{x}}, {chart.y} %{{y:.2f}}",
        }
        for curve in drawn
    ]
    axis = AXIS | {"range": [0, 1.02]}
    layout = LAYOUT | {
        "height": 420,
        "xaxis": axis | {"title": {"text": chart.x}},
        "yaxis": axis | {"title": {"text": chart.y}},
        "legend": {"orientation": "v", "x": 1.01, "y": 1},
    }
    return {"data": data, "layout": layout}


def _area(curve: Curve) -> float:
    return sum(curve.y) / len(curve.y)


def _matrix(chart: Chart) -> Figure:
    assert not isinstance(chart, Lines)
    rows, columns = ([escape(name) for name in names] for names in (chart.rows, chart.columns))
    totals = [max(1, sum(row)) for row in chart.counts]
    shares = [[n / total for n in row] for row, total in zip(chart.counts, totals, strict=True)]
    as_shares = max((n for row in chart.counts for n in row), default=0) > LONG_COUNT
    texts = [
        [f"{100 * share:.0f}%" if as_shares else str(n) for n, share in zip(*pair, strict=True)]
        for pair in zip(chart.counts, shares, strict=True)
    ]
    data = {
        "type": "heatmap",
        "x": list(range(len(columns))),
        "y": list(range(len(rows))),
        "z": [[round(share, 4) for share in row] for row in shares],
        "text": texts if len(rows) <= MOST_NUMBERED else [["" for _ in row] for row in texts],
        "texttemplate": "%{text}",
        "hovertext": [
            [f"{row}, given {column}: {n:,} {chart.unit} ({percent(share)})" for column, n, share in cells]
            for row, cells in (
                (row, list(zip(columns, counts, own, strict=True)))
                for row, counts, own in zip(rows, chart.counts, shares, strict=True)
            )
        ],
        "hoverinfo": "text",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "white"], [1, BLUE]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }  # fmt: skip
    left = NAME_PX * max(map(len, chart.rows), default=0) + 24
    ticks = {"tickmode": "array", "showgrid": False, "zeroline": False, "fixedrange": True}
    side_px = ROW_PX if len(rows) <= MOST_NUMBERED else ROW_PX // 2
    layout = LAYOUT | {
        "height": AROUND_PX + side_px * len(rows),
        "margin": {"l": left, "r": 16, "t": 32, "b": 30},
        "xaxis": ticks | {"tickvals": data["x"], "ticktext": columns, "automargin": True},
        "yaxis": ticks | {"tickvals": data["y"], "ticktext": rows, "autorange": "reversed"},
    }
    return {"data": [data], "layout": layout}
