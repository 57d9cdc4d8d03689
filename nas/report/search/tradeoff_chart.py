"""The report's main chart: accuracy over latency, with the Pareto front and the target."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from nas.engine.job import RIVAL
from nas.engine.trial import Trial
from nas.formatting import metric_title
from nas.report.charts import (
    AXIS,
    BLUE,
    GREEN,
    GREY,
    INK,
    LAYOUT,
    ORANGE,
    Figure,
    hover_text,
    marker,
    target_label,
    target_line,
)
from nas.searching.results.record import DeviceRecord, RunRecord
from nas.searching.results.table import pareto_front
from nas.searching.sizes import Sizes


def latency_title(device: DeviceRecord, sizes: Sizes) -> str:
    """Return an axis title with the image size, if it is one; estimates are marked."""
    kind = "ms, estimated, not measured" if device.estimate else "ms"
    at = "" if sizes.searched else f" at {sizes.deployed_px} px"
    return f"Latency{at} ({kind})"


def _accuracy_title(run: RunRecord) -> str:
    sizes, metric = run.sizes, metric_title(run.metric)
    px = f"{sizes.deployed_px} px"
    if sizes.searched:
        return f"{metric} on held-out images (%)"
    if sizes.differ:
        px = f"{sizes.proxy_px} px, of finalists {px}"
    return f"{metric} on held-out images at {px} (%)"


def accuracy_over_latency(run: RunRecord, place: int = 0) -> Figure:
    """Plot trials, Pareto front, target and final trainings on one device.

    Args:
        run: The search.
        place: Index of the device.
    """
    device = run.devices[place]
    first = {trial.index: trial for trial in run.good}
    repeats, finals, rivals = map(run.again, ("repeat", "final", RIVAL))
    drawn = partial(_points, run, place)
    data = [
        _links(finals, first, place, color=ORANGE),
        _links(repeats, first, place, color=GREEN),
        *_trials(run, place),
        _front(run, place),
        drawn(repeats, "trained again") | marker(GREEN, size=9, symbol="square-open"),
        drawn(finals, "finalist, trained longer") | marker(ORANGE, size=12, symbol="diamond"),
        drawn(rivals, "rival, trained as long") | marker(INK, size=11, symbol="x"),
    ]
    layout = LAYOUT | {
        "height": 480,
        "legend": LAYOUT["legend"] | {"y": 1.06},  # above the target's name
        "xaxis": AXIS | {"title": {"text": latency_title(device, run.sizes)}},
        "yaxis": AXIS | {"title": {"text": _accuracy_title(run)}},
        "shapes": [target_line(device.target_ms), *_noise_band(run)],
        "annotations": [_target_name(device), *_winner_name(run, place, [*finals, *rivals])],
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _trials(run: RunRecord, place: int) -> list[Figure]:
    stable = [trial for trial in run.good if trial.latencies[place].stable]
    unstable = [trial for trial in run.good if not trial.latencies[place].stable]
    return [
        _points(run, place, stable, "trial") | marker(GREY, size=8, symbol="circle"),
        _points(run, place, unstable, "trial, unstable latency")
        | marker(GREY, size=8, symbol="circle-open"),
    ]


def _front(run: RunRecord, place: int) -> Figure:
    """Return rings around the device's Pareto front, and the line below which trials are dominated."""
    front = pareto_front(run.good, device=place)
    rings = _points(run, place, front, "Pareto front of the trials") | marker(
        BLUE, size=13, symbol="circle-open"
    )
    rings["error_x"] = {"visible": False}  # already drawn at the trials' points
    return rings | {"mode": "lines+markers", "line": {"shape": "hv", "color": BLUE, "width": 1.5}}


def _points(run: RunRecord, place: int, trials: Sequence[Trial], name: str) -> Figure:
    latencies = [trial.latencies[place] for trial in trials]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [latency.median_ms for latency in latencies],
        "y": [_points_of(trial) for trial in trials],
        "error_x": {
            "visible": not run.devices[place].estimate,
            "symmetric": False,
            "array": [latency.ci95_ms[1] - latency.median_ms for latency in latencies],
            "arrayminus": [latency.median_ms - latency.ci95_ms[0] for latency in latencies],
            "thickness": 1,
            "width": 0,
        },
        "hovertext": [hover_text(trial, run.labels, run.sizes, run.metric) for trial in trials],
        "hoverinfo": "text",
    }


def _points_of(trial: Trial) -> float:
    return 100 * (trial.accuracy or 0.0)


def _links(trials: Sequence[Trial], first: dict[int, Trial], place: int, *, color: str) -> Figure:
    """Return thin lines from a network's first training to its next one."""
    pairs = [(first[trial.index], trial) for trial in trials if trial.index in first]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for a, b in pairs for x in (a.latencies_ms[place], b.latencies_ms[place], None)],
        "y": [y for a, b in pairs for y in (_points_of(a), _points_of(b), None)],
        "line": {"color": color, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _target_name(device: DeviceRecord) -> Figure:
    place = {"x": device.target_ms, "yref": "paper", "y": 1, "yanchor": "bottom", "yshift": 2}
    return target_label(device.target_ms, **place)


def _winner_name(run: RunRecord, place: int, finals: Sequence[Trial]) -> list[Figure]:
    """Return a label next to the winner's point."""
    chosen = [trial for trial in finals if run.result and run.result.is_of(trial)]
    shape = {"showarrow": False, "xanchor": "right", "xshift": -10, "font": {"color": ORANGE}}
    return [
        {"x": trial.latencies_ms[place], "y": _points_of(trial), "text": "<b>winner</b>"} | shape
        for trial in chosen
    ]


def _noise_band(run: RunRecord) -> list[Figure]:
    """Return a band of accuracies within the noise of the best trial."""
    if run.noise is None:
        return []
    best = max(map(_points_of, run.good))
    span = {"y0": best - run.margin_points, "y1": best, "xref": "paper", "x0": 0, "x1": 1}
    fill = {"fillcolor": "#FBF1DC", "line": {"width": 0}, "layer": "below"}
    return [{"name": "noise", "type": "rect"} | span | fill]
