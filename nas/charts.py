"""The report's charts, as plotly figures in plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate, groupby
from typing import Any

from nas.noise import Noise
from nas.results import pareto_front
from nas.trial import Trial

Figure = dict[str, Any]
"""`data` and `layout`, as plotly.js takes them."""

Labels = Sequence[tuple[str, Sequence[str]]]
"""Each decision's name and its choices' names."""

# Okabe and Ito's palette, which the colour-blind can tell apart.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"

LAYOUT: dict[str, Any] = {
    "template": "none",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
    "margin": {"l": 62, "r": 16, "t": 24, "b": 52},
    "hoverlabel": {
        "align": "left",
        "bgcolor": "white",
        "font": {"family": "ui-monospace, monospace"},
    },
    "legend": {"orientation": "h", "y": 1.08, "x": 0, "yanchor": "bottom"},
}


@dataclass(frozen=True)
class Run:
    """What the charts are drawn from; `device_note` follows "latency" on every axis."""

    trials: Sequence[Trial]
    finals: Sequence[Trial]
    labels: Labels
    target_ms: float
    device_note: str
    noise: Noise | None


def choices_by_block(tokens: Sequence[int], labels: Labels) -> list[str]:
    """A network's choices, one readable line a block.

    >>> choices_by_block((1, 0), [("block 0 op", ("conv", "sepconv")), ("block 0 out", ("8", "16"))])
    ['block 0: op sepconv, out 8']
    """
    named = [
        (*name.rsplit(" ", 1), choices[token])
        for token, (name, choices) in zip(tokens, labels, strict=True)
    ]
    return [
        f"{block}: " + ", ".join(f"{field} {choice}" for _, field, choice in group)
        for block, group in groupby(named, key=lambda item: item[0])
    ]


def hover_text(trial: Trial, labels: Labels) -> str:
    """What is shown over a point; plotly takes it as HTML."""
    name = {"search": "trial", "final": "finalist, trial", "repeat": "again, trial"}[trial.kind]
    lines = [f"<b>{name} {trial.index}</b>"]
    if trial.accuracy is not None and trial.latency is not None:
        low, high = trial.latency.ci95_ms
        spread = "" if low == high else f" ({low:.3g} - {high:.3g})"
        lines.append(f"accuracy {100 * trial.accuracy:.1f}%, reward {trial.reward:.4f}")
        lines.append(f"latency {trial.latency_ms:.3g} ms{spread}")
    lines.append(f"{trial.params / 1e6:.2f}M parameters, {trial.madds / 1e6:.0f}M MAdds")
    lines += choices_by_block(trial.tokens, labels)
    if trial.error:
        lines.append(f"failed: {trial.error}")
    return "<br>".join([lines[0], *(escape(line) for line in lines[1:])])


def accuracy_over_latency(run: Run) -> Figure:
    """Every trial, the Pareto front, the target, and the finalists after their longer training."""
    groups = (
        ("trials", [t for t in run.trials if t.ok], BLUE, "circle", 8),
        ("trained again", [t for t in run.finals if t.ok and t.kind == "repeat"], GREY, "x", 8),
        ("finalists", [t for t in run.finals if t.ok and t.kind == "final"], RED, "diamond", 12),
    )
    data = [_points(run, *group) for group in groups if group[1]]
    front = pareto_front(run.trials)
    line = {"shape": "hv", "color": BLUE, "width": 1}
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front of the trials",
            "x": [t.latency_ms for t in front],
            "y": [100 * (t.accuracy or 0) for t in front],
            "line": line,
            "hoverinfo": "skip",
        }
    )
    target = {
        "type": "line",
        "x0": run.target_ms,
        "x1": run.target_ms,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
    }
    note = {"x": run.target_ms, "y": 1, "yref": "paper", "text": f"target {run.target_ms:.3g} ms"}
    layout = LAYOUT | {
        "xaxis": {"title": {"text": f"latency{run.device_note}, ms"}, "zeroline": False},
        "yaxis": {"title": {"text": "accuracy on held-out images, %"}, "zeroline": False},
        "shapes": [target | {"line": {"color": ORANGE, "dash": "dash"}}],
        "annotations": [note | {"showarrow": False, "xanchor": "left", "yanchor": "bottom"}],
        "hovermode": "closest",
    }
    return {"data": data, "layout": layout}


def _points(run: Run, name: str, trials: list[Trial], color: str, symbol: str, size: int) -> Figure:
    latencies = [t.latency for t in trials if t.latency is not None]
    points: Figure = {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [t.latency_ms for t in trials],
        "y": [100 * (t.accuracy or 0) for t in trials],
        "marker": {"color": color, "symbol": symbol, "size": size},
        "text": [hover_text(t, run.labels) for t in trials],
        "hoverinfo": "text",
        "error_x": {
            "symmetric": False,
            "array": [reading.ci95_ms[1] - reading.median_ms for reading in latencies],
            "arrayminus": [reading.median_ms - reading.ci95_ms[0] for reading in latencies],
            "thickness": 1,
            "width": 0,
        },
    }
    if run.noise is not None and name == "trials":
        bar = {"type": "constant", "value": run.noise.between_seeds, "thickness": 0.5, "width": 0}
        points["error_y"] = bar | {"color": "rgba(0,114,178,0.4)"}
    return points


def reward_over_trials(run: Run) -> Figure:
    """Each trial's reward, the running best, and the trials that failed."""
    good = [t for t in run.trials if t.ok]
    failed = [t for t in run.trials if not t.ok]
    best = list(accumulate((t.reward for t in good), max))
    data: list[Figure] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "trials",
            "x": [t.index for t in good],
            "y": [t.reward for t in good],
            "marker": {"color": BLUE, "size": 7},
            "text": [hover_text(t, run.labels) for t in good],
            "hoverinfo": "text",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [t.index for t in good],
            "y": best,
            "line": {"color": GREEN, "shape": "hv"},
            "hoverinfo": "skip",
        },
    ]
    if failed:
        low = min((t.reward for t in good), default=0.0)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "failed",
                "x": [t.index for t in failed],
                "y": [low] * len(failed),
                "marker": {"color": RED, "symbol": "x", "size": 8},
                "text": [hover_text(t, run.labels) for t in failed],
                "hoverinfo": "text",
            }
        )
    layout = LAYOUT | {
        "xaxis": {"title": {"text": "trial"}, "zeroline": False},
        "yaxis": {"title": {"text": "reward"}, "zeroline": False},
        "hovermode": "closest",
    }
    return {"data": data, "layout": layout}


def choices_over_time(labels: Labels, rows: Sequence[Sequence[Sequence[float]]]) -> Figure:
    """A heat map: a line a choice, a column a batch, colour how far from an even choice.

    Args:
        labels: The decisions and their choices.
        rows: (batches, decisions, choices): probabilities or frequencies.
    """
    names = [f"{name} {choice}" for name, choices in labels for choice in choices]
    columns = [[p for decision in batch for p in decision] for batch in rows]
    even = [1 / len(choices) for _, choices in labels for _ in choices]
    shares = [[round(column[line], 3) for column in columns] for line in range(len(names))]
    z = [[share - fair for share in line] for line, fair in zip(shares, even, strict=True)]
    data = {
        "type": "heatmap",
        "x": list(range(1, len(rows) + 1)),
        "y": names,
        "z": z,
        "customdata": shares,
        "zmin": -0.5,
        "zmax": 0.5,
        "colorscale": "RdBu",
        "reversescale": False,
        "hovertemplate": "%{y}<br>after batch %{x}: %{customdata:.0%}<extra></extra>",
        "colorbar": {"title": {"text": "over even"}, "tickformat": "+.0%", "len": 0.3, "y": 0.85},
    }
    layout = LAYOUT | {
        "height": 120 + 13 * len(names),
        "margin": LAYOUT["margin"] | {"l": 150},
        "xaxis": {"title": {"text": "batch"}, "dtick": max(1, len(rows) // 10)},
        "yaxis": {"autorange": "reversed", "tickfont": {"size": 10}, "dtick": 1},
    }
    return {"data": [data], "layout": layout}


def frequencies(trials: Sequence[Trial], labels: Labels) -> list[list[list[float]]]:
    """How often each choice was taken, a batch at a time: (batches, decisions, choices)."""
    rows = []
    for _, group in groupby(trials, key=lambda t: t.batch):
        batch = [t.tokens for t in group]
        rows.append(
            [
                [sum(tokens[d] == c for tokens in batch) / len(batch) for c in range(len(choices))]
                for d, (_, choices) in enumerate(labels)
            ]
        )
    return rows
