"""Shared parts of the charts: colors, layout, and hover text."""

from __future__ import annotations

import io
from html import escape
from textwrap import wrap
from typing import Any

from nas.engine.trial import Trial
from nas.formatting import Labels, choices_by_block, percent, readings, three_digits
from nas.searching.sizes import Sizes

Figure = dict[str, Any]
"""`data` and `layout` for plotly.js."""


def as_files(sheet: Any) -> dict[str, bytes]:
    """Return a Matplotlib figure as files by their format: PNG, and SVG without a date."""
    drawn = {}
    for kind in ("png", "svg"):
        content = io.BytesIO()
        sheet.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
        drawn[kind] = content.getvalue()
    return drawn


# From Okabe and Ito's palette, safe for the color-blind; shapes differ as well.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#00785A"
GREY, INK, FAINT = "#8A949E", "#1F2933", "#E6E9ED"

AXIS: dict[str, Any] = {
    "gridcolor": FAINT,
    "zeroline": False,
    "linecolor": "#B8C0C8",
    "showline": True,
    "ticks": "outside",
    "tickcolor": "#B8C0C8",
    "automargin": True,
}

LAYOUT: dict[str, Any] = {
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
    "paper_bgcolor": "white",
    "plot_bgcolor": "white",
    "margin": {"l": 56, "r": 16, "t": 40, "b": 52},
    "hovermode": "closest",
    "hoverlabel": {
        "align": "left",
        "bgcolor": "white",
        "bordercolor": "#B8C0C8",
        "font": {"color": INK, "size": 12},
        "namelength": 0,
    },
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
}

TITLES = {
    "search": "trial {}",
    "rung": "trial {}, short first training",
    "final": "trial {}, trained longer",
    "repeat": "trial {}, trained again",
    "rival": "rival {}",
}


def hover_text(trial: Trial, labels: Labels, sizes: Sizes, metric: str) -> str:
    """Return the text over a point. Plotly reads it as HTML, so names from outside are escaped."""
    size = f"{three_digits(trial.params / 1e6)}M params, {three_digits(trial.madds / 1e6)}M MAdds"
    lines = [f"batch {trial.batch}, {size}"]
    if trial.accuracy is not None:
        px = trial.px or sizes.proxy_px
        lines.append(f"{metric} {percent(trial.accuracy)} at {px} px, reward {trial.reward:.3f}")
    if trial.latencies:
        lines += wrap(f"latency {readings(trial.latencies)} at {sizes.latency_px(trial.px)} px", 66)
    if trial.error is not None:
        lines += wrap(f"failed: {trial.error}", 66, max_lines=3)
    if trial.tokens:
        lines += choices_by_block(trial.tokens, labels)
    title = f"<b>{TITLES[trial.kind].format(trial.index)}</b>"
    return "<br>".join([title, *(escape(line) for line in lines)])


def target_line(target_ms: float, **place: Any) -> Figure:
    """Return the shape of the target's line: vertical over the whole height, unless placed otherwise."""
    across = {"x0": target_ms, "x1": target_ms, "yref": "paper", "y0": 0, "y1": 1}
    line = {"color": INK, "width": 1.2, "dash": "dash"}
    return {"name": "target", "type": "line", "line": line} | (place or across)


def target_label(target_ms: float, **place: Any) -> Figure:
    """Return the annotation that names the target, at a place in the chart."""
    return {"text": f"target {three_digits(target_ms)} ms", "showarrow": False} | place


def marker(color: str, *, size: int, symbol: str) -> Figure:
    """Return the marker style of a trace."""
    line = {"width": 1.5, "color": color}
    return {"marker": {"color": color, "size": size, "symbol": symbol, "line": line}}
