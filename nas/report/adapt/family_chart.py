"""The NetAdapt report's trade-off chart: the chosen network of every step, and the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap

from latency import Latency
from nas.adapting.kinds import CURVE, FINETUNE, SCRATCH, TRAINED, TRAININGS, baseline_of, kind_of
from nas.adapting.results.record import AdaptRecord
from nas.engine.trial import Trial
from nas.formatting import counted, metric_title, percent, reading
from nas.report.charts import (
    AXIS,
    BLUE,
    GREEN,
    GREY,
    INK,
    LAYOUT,
    ORANGE,
    Figure,
    marker,
    target_label,
    target_line,
)
from nas.statistics.confidence_intervals import mean_with_interval

SHORT = {SCRATCH: "from scratch", FINETUNE: "fine-tuned"}
SYMBOLS = {SCRATCH: "diamond-open", FINETUNE: "diamond"}
COLORS = (ORANGE, GREEN, GREY)
"""Colors of the baselines, in order."""


def family_and_baselines(run: AdaptRecord) -> Figure:
    """Plot accuracy over latency: proposals, chosen networks, seed, final trainings, baselines."""
    data = [_proposals(run), _family(run), _seed(run)]
    data += [_final(run, training, "", BLUE) for training in TRAININGS]
    for place, name in enumerate(run.baseline_names):
        color = COLORS[place % len(COLORS)]
        data.append(_curve(run, name, color))
        data += [_final(run, training, name, color) for training in TRAININGS]
    kind = "ms, estimated, not measured" if run.estimate else "ms"
    latency = f"Latency at {run.px} px ({kind})"
    layout = LAYOUT | {
        "height": 560,
        "legend": LAYOUT["legend"] | {"y": -0.2, "yanchor": "top"},  # the buttons are above
        "xaxis": AXIS | {"title": {"text": latency}},
        "yaxis": AXIS
        | {"title": {"text": f"{metric_title(run.metric)} on held-out images at {run.px} px (%)"}},
        "shapes": [target_line(run.metadata.target_ms)],
        "annotations": [_target_name(run)],
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _points(run: AdaptRecord, points: Sequence[tuple[str, Latency, float]], name: str) -> Figure:
    """Return a trace of points (title, latency, accuracy in 0..1)."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [latency.median_ms for _, latency, _ in points],
        "y": [100 * accuracy for _, _, accuracy in points],
        "hovertext": [_hover(*point, metric=run.metric) for point in points],
        "hoverinfo": "text",
    }


def _hover(title: str, latency: Latency, accuracy: float, *, metric: str) -> str:
    lines = [f"{metric} {percent(accuracy)}", *wrap(f"latency {reading(latency)}", 60)]
    return "<br>".join([f"<b>{escape(title)}</b>", *map(escape, lines)])


def _proposals(run: AdaptRecord) -> Figure:
    points = [
        (f"step {step.number}: {planned.name}", planned.latency, trial.accuracy)
        for step in run.steps
        for place, (planned, trial) in enumerate(step.entries)
        if place != step.chosen and trial and trial.accuracy is not None and planned.latency
    ]
    return _points(run, points, "other proposals") | marker("#C3CAD1", size=5, symbol="circle")


def _family(run: AdaptRecord) -> Figure:
    points = [
        (f"step {step}: {planned.name}", planned.latency, trial.accuracy or 0.0)
        for step, (planned, trial) in enumerate(run.family, start=1)
        if planned.latency
    ]
    line = {"mode": "lines+markers", "line": {"color": BLUE, "width": 1.5}}
    points = [("the seed", run.seed_latency, run.metadata.accuracy), *points]
    return (
        _points(run, points, "NetAdapt, each step") | marker(BLUE, size=8, symbol="circle") | line
    )


def _seed(run: AdaptRecord) -> Figure:
    point = ("the seed", run.seed_latency, run.metadata.accuracy)
    return _points(run, [point], "the seed") | marker(INK, size=11, symbol="star")


def _curve(run: AdaptRecord, name: str, color: str) -> Figure:
    """Baselines of intermediate networks, fine-tuned for as many steps."""
    trained = [t for t in run.finals if t.kind == kind_of(CURVE, name) and t.accuracy is not None]
    points = [
        (f"{name}, {_about(run, t)}, compared with step {t.index}", t.latency, t.accuracy)
        for t in sorted(trained, key=lambda t: -t.latency_ms)
        if t.latency is not None and t.accuracy is not None
    ]
    line = {"mode": "lines+markers", "line": {"color": color, "width": 1.5, "dash": "dot"}}
    named = _points(run, points, f"{name}, same fine-tuning steps")
    return named | marker(color, size=8, symbol="square") | line


def _about(run: AdaptRecord, trial: Trial) -> str:
    name = f"{baseline_of(trial.kind)}-step-{trial.index}"
    return run.baselines[name].about if name in run.baselines else ""


def _final(run: AdaptRecord, training: str, baseline: str, color: str) -> Figure:
    """The mean of a network's final trainings of one kind, with its 95% interval over seeds."""
    kind, name = kind_of(training, baseline), baseline or "NetAdapt"
    trained = [t for t in run.finals if t.kind == kind and t.accuracy is not None]
    title = f"{name}, {SHORT[training]}"
    if not trained or trained[0].latency is None:
        return _points(run, [], title)
    mean, half = mean_with_interval([t.accuracy or 0.0 for t in trained])
    shown = f"{name}, {TRAINED[training]}: {counted(len(trained), 'seed')}"
    figure = _points(run, [(shown, trained[0].latency, mean)], title)
    if half is not None:
        figure["error_y"] = {"array": [100 * half], "thickness": 1.2, "width": 5, "color": color}
    return figure | marker(color, size=12, symbol=SYMBOLS[training])


def _target_name(run: AdaptRecord) -> Figure:
    ms = run.metadata.target_ms
    place = {"x": ms, "yref": "paper", "y": 1, "yanchor": "bottom", "xanchor": "left"}
    return target_label(ms, xshift=-4, **place)
