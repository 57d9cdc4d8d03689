"""Chart of the search's progress: each trial's reward, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby

from nas.engine.trial import Trial
from nas.report.charts import AXIS, BLUE, GREY, LAYOUT, ORANGE, Figure, hover_text, marker
from nas.searching.results.record import RunRecord

BATCHES_DRAWN = 60
"""Maximum number of batches that are shaded; more would look like stripes."""


def reward_over_trials(run: RunRecord) -> Figure:
    """Plot each trial's reward, the running best, and the failed trials."""
    rewards = [trial.reward for trial in run.good]
    low, high = min(rewards, default=0.0), max(rewards, default=1.0)
    floor = low - 0.08 * (
        (high - low) or 1.0
    )  # failed trials have no reward: draw them at the bottom
    edge = 0.5 + 0.01 * len(run.candidates)
    data = [
        _points(run, run.good, rewards, "trial") | marker(GREY, size=7, symbol="circle"),
        _running_best(run.good, rewards),
        _points(run, run.failed, [floor] * len(run.failed), "failed")
        | marker(ORANGE, size=7, symbol="x-thin"),
    ]
    layout = LAYOUT | {
        "height": 380,
        "xaxis": AXIS
        | {
            "title": {"text": "Trial"},
            "showgrid": False,
            "range": [-edge, len(run.candidates) - 1 + edge],
        },
        "yaxis": AXIS | {"title": {"text": "Reward"}},
        "shapes": _batch_bands(run.candidates),
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _points(run: RunRecord, trials: list[Trial], rewards: list[float], name: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [trial.index for trial in trials],
        "y": rewards,
        "hovertext": [hover_text(trial, run.labels, run.sizes, run.metric) for trial in trials],
        "hoverinfo": "text",
    }


def _running_best(trials: list[Trial], rewards: list[float]) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [trial.index for trial in trials],
        "y": list(accumulate(rewards, max)),
        "line": {"shape": "hv", "color": BLUE, "width": 2},
        "hoverinfo": "skip",
    }


def _batch_bands(trials: Sequence[Trial]) -> list[Figure]:
    """Shade every other batch."""
    batches = [[t.index for t in group] for _, group in groupby(trials, key=lambda t: t.batch)]
    if len(batches) > BATCHES_DRAWN:
        return []
    band = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    paint = {"fillcolor": "#F5F6F8", "line": {"width": 0}}
    return [band | paint | {"x0": b[0] - 0.5, "x1": b[-1] + 0.5} for b in batches[1::2]]
