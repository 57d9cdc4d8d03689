"""The NetAdapt report's chart of its steps: accuracy, latency and MAdds after each."""

from __future__ import annotations

from html import escape
from typing import Any

from latency import Latency
from nas.adapting.results.record import AdaptRecord
from nas.formatting import metric_title, percent, reading, three_digits
from nas.report.charts import AXIS, BLUE, LAYOUT, Figure, marker, target_label, target_line
from search_spaces import ArchSpec, count

PANELS = {"y": (0.72, 0.96), "y2": (0.36, 0.6), "y3": (0.0, 0.24)}
"""Vertical extent of each panel as fractions of the height, from the bottom; titles stand above."""


def trajectory(run: AdaptRecord) -> Figure:
    """Plot three panels over the steps; step 0 is the seed."""
    accuracies = [run.metadata.accuracy, *(trial.accuracy or 0.0 for _, trial in run.family)]
    specs = [run.seed, *(planned.spec for planned, _ in run.family)]
    latencies = [run.seed_latency, *(p.latency for p, _ in run.family if p.latency is not None)]
    names = ["the seed", *(planned.name for planned, _ in run.family)]
    hover = [
        _hover(*point, metric=run.metric)
        for point in zip(range(len(names)), names, accuracies, latencies, specs, strict=True)
    ]
    values = {
        "y": [100 * accuracy for accuracy in accuracies],
        "y2": [latency.median_ms for latency in latencies],
        "y3": [count(spec).madds / 1e6 for spec in specs],
    }
    data = [_line(axis, drawn, hover) for axis, drawn in values.items()]
    if not run.estimate:
        data[1]["error_y"] = _bars(latencies)
    kind = "ms, estimated, not measured" if run.estimate else "ms"
    titles = {
        "y": f"{metric_title(run.metric)} at {run.px} px (%)",
        "y2": f"Latency ({kind})",
        "y3": "Multiply-adds (M)",
    }
    layout = LAYOUT | {
        "height": 560,
        "showlegend": False,
        "margin": LAYOUT["margin"] | {"t": 8},
        "xaxis": AXIS | _steps(len(names)),
        "shapes": [_target(run)],
        "annotations": [_target_name(run), *(_title(titles[axis], axis) for axis in PANELS)],
    }
    for axis, domain in PANELS.items():
        layout[axis.replace("y", "yaxis")] = AXIS | {"domain": list(domain)}
    layout["yaxis2"] |= {"rangemode": "tozero"}
    layout["yaxis3"] |= {"rangemode": "tozero"}
    return {"data": data, "layout": layout}


def _title(text: str, axis: str) -> Figure:
    """Return a panel's title, placed above it: beside a low panel it would not fit on a phone."""
    place = {"xref": "paper", "x": 0, "xanchor": "left"}
    height = {"yref": "paper", "y": PANELS[axis][1], "yanchor": "bottom", "yshift": 2}
    return {"text": f"<b>{text}</b>", "showarrow": False} | place | height


def _steps(points: int) -> dict[str, Any]:
    labels = {"title": {"text": "Step"}, "anchor": "y3", "showgrid": False}
    every = max(1, points // 12)
    places = list(range(0, points, every))
    return labels | {"tickvals": places, "ticktext": ["seed", *map(str, places[1:])]}


def _line(axis: str, values: list[float], hover: list[str]) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(range(len(values))),
        "y": values,
        "yaxis": axis,
        "line": {"color": BLUE, "width": 2},
        "hovertext": hover,
        "hoverinfo": "text",
    } | marker(BLUE, size=8, symbol="circle")


def _bars(latencies: list[Latency]) -> Figure:
    return {
        "symmetric": False,
        "array": [latency.ci95_ms[1] - latency.median_ms for latency in latencies],
        "arrayminus": [latency.median_ms - latency.ci95_ms[0] for latency in latencies],
        "thickness": 1,
        "width": 3,
    }


def _hover(
    step: int, name: str, accuracy: float, latency: Latency, spec: ArchSpec, *, metric: str
) -> str:
    cost = count(spec)
    lines = [
        f"{metric} {percent(accuracy)}",
        f"latency {reading(latency)}",
        f"{three_digits(cost.madds / 1e6)}M MAdds, {three_digits(cost.params / 1e6)}M params",
    ]
    title = f"<b>{escape(f'step {step}: {name}' if step else name)}</b>"
    return "<br>".join([title, *map(escape, lines)])


def _target(run: AdaptRecord) -> Figure:
    ms = run.metadata.target_ms
    return target_line(ms, xref="paper", x0=0, x1=1, yref="y2", y0=ms, y1=ms)


def _target_name(run: AdaptRecord) -> Figure:
    ms = run.metadata.target_ms
    place = {"xref": "paper", "x": 0, "xanchor": "left", "xshift": 4}
    return target_label(ms, yref="y2", y=ms, yanchor="top", **place)
