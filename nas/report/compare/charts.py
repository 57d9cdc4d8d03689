"""Accuracy against latency and against multiply-adds, with intervals: for the page, and as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill
from typing import Any

from nas.comparing.comparison import Comparison, Row
from nas.report.charts import AXIS, LAYOUT, ORANGE, Figure, as_files, marker
from nas.statistics.confidence_intervals import mean_with_interval
from search_spaces import count

COLORS = ("#0072B2", "#00785A", "#CC79A7", "#56B4E9", "#8A949E", "#A66F00", "#1F2933")
"""Of networks other than the first; from Okabe and Ito's palette, as far as it goes."""

SHAPES = ("o", "s", "^", "v")
SYMBOLS = ("circle", "square", "triangle-up", "triangle-down")
"""The same for both kinds of picture, once the colors are used up."""


@dataclass(frozen=True)
class Point:
    """A network in a chart.

    Attributes:
        name: What it is called.
        is_first: Whether it is the network that the others are compared with.
        x: Latency in ms, or multiply-adds in millions.
        x_ci95: The interval of it; its ends are equal where it is exact.
        y: The metric in percent.
        y_half: Half of its interval; 0 where there is none.
    """

    name: str
    is_first: bool
    x: float
    x_ci95: tuple[float, float]
    y: float
    y_half: float


def by_latency(comparison: Comparison, device: int = 0) -> list[Point]:
    """Return the trained networks by their latency on a device."""
    return _points(
        comparison, lambda row: (row.latencies[device].ms, row.latencies[device].ci95_ms)
    )


def by_madds(comparison: Comparison) -> list[Point]:
    """Return the trained networks by their multiply-adds."""

    def millions(row: Row) -> tuple[float, tuple[float, float]]:
        exact = count(row.spec).madds / 1e6
        return exact, (exact, exact)

    return _points(comparison, millions)


def _points(
    comparison: Comparison, place: Callable[[Row], tuple[float, tuple[float, float]]]
) -> list[Point]:
    points = []
    for index, row in enumerate(comparison.rows):
        if row.evidence:
            mean, half = mean_with_interval(row.percent)
            points.append(Point(row.name, index == 0, *place(row), mean, half or 0.0))
    return points


def chart(points: Sequence[Point], *, x_title: str, metric: str) -> Figure:
    """Return an interactive chart of some networks."""
    layout = LAYOUT | {
        "height": 460,
        "xaxis": AXIS | {"title": {"text": escape(x_title)}},
        "yaxis": AXIS | {"title": {"text": f"Test {metric} (%)"}},
    }
    return {"data": [_trace(point, place) for place, point in enumerate(points)], "layout": layout}


def _trace(point: Point, place: int) -> Figure:
    """Return a network's point with its intervals; the legend names it."""
    name = escape(point.name)  # Plotly reads it as HTML
    symbol = "diamond" if point.is_first else SYMBOLS[place // len(COLORS) % len(SYMBOLS)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "showlegend": True,
        "x": [point.x],
        "y": [point.y],
        "error_x": {
            "symmetric": False,
            "array": [point.x_ci95[1] - point.x],
            "arrayminus": [point.x - point.x_ci95[0]],
            "thickness": 1,
            "width": 0,
        },
        "error_y": {"array": [point.y_half], "thickness": 1.2, "width": 4},
        "hovertext": [name],
        "hoverinfo": "text",
    } | marker(_color(point, place), size=12 if point.is_first else 9, symbol=symbol)


def _color(point: Point, place: int) -> str:
    return ORANGE if point.is_first else COLORS[place % len(COLORS)]


def pictures(comparison: Comparison) -> dict[str, bytes]:
    """Draw both charts side by side; return the picture by its format, PNG and SVG."""
    from matplotlib.figure import Figure as Sheet  # half a second

    sheet = Sheet(figsize=(12, 4.8), dpi=140, layout="constrained")
    left, right = sheet.subplots(1, 2, sharey=True)
    _draw(left, by_latency(comparison), x_label="latency (ms)")
    left.set_title(fill(comparison.devices[0], 60), fontsize=9, loc="left")
    _draw(right, by_madds(comparison), x_label="multiply-adds (millions)")
    left.set_ylabel(f"test {comparison.metric} (%)")
    handles, labels = left.get_legend_handles_labels()
    if handles:
        sheet.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    return as_files(sheet)


def _draw(axes: Any, points: Sequence[Point], *, x_label: str) -> None:
    for place, point in enumerate(points):
        axes.errorbar(
            [point.x],
            [point.y],
            xerr=[[point.x - point.x_ci95[0]], [point.x_ci95[1] - point.x]],
            yerr=[point.y_half],
            fmt="D" if point.is_first else SHAPES[place // len(COLORS) % len(SHAPES)],
            color=_color(point, place),
            markersize=8 if point.is_first else 6,
            elinewidth=1,
            capsize=3,
            label=point.name,
        )
    axes.set_xlabel(x_label)
    axes.grid(alpha=0.3)


def charts(comparison: Comparison) -> dict[str, Figure]:
    """Return the charts of the page, by the ids of their elements."""
    metric = comparison.metric
    found = {
        f"latency{device}": chart(
            by_latency(comparison, device), x_title=f"Latency on {name} (ms)", metric=metric
        )
        for device, name in enumerate(comparison.devices)
    }
    madds = chart(by_madds(comparison), x_title="Multiply-adds (millions)", metric=metric)
    return found | {"madds": madds}
