"""Where the latencies of searches fall, and how soon each finds a good network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.ablating.search_results import SearchResults
from nas.report.charts import ORANGE, as_files
from nas.report.compare.charts import COLORS as COMPARED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.ablating.outcome import Outcome, Tried

COLORS = (ORANGE, *COMPARED)
"""Of the searches in order."""


def pictures(results: SearchResults) -> dict[str, bytes]:
    """Draw both charts side by side; return the picture by its format, PNG and SVG.

    Left: every trial's accuracy over its latency relative to the target, and the finalists. Right: the best
    trial within the target so far, mean over the seeds, over the training time.
    """
    from matplotlib.figure import Figure  # half a second

    sheet = Figure(figsize=(12, 4.8), dpi=140, layout="constrained")
    left, right = sheet.subplots(1, 2)
    for place, (name, of) in enumerate(results.outcomes.items()):
        color = COLORS[place % len(COLORS)]
        _draw_trials(left, of, color=color)
        _draw_progress(right, of, name=name, color=color)
    left.axvline(1.0, color="#1F2933", lw=0.8, ls=":")
    left.set(xlabel="latency / target", ylabel=f"{results.metric} (%)")
    left.set_title("trials (held-out images), and finalists (test images)", fontsize=9, loc="left")
    right.set(xlabel="training time (minutes)", ylabel=f"held-out {results.metric} (%)")
    title = "best trial within the target so far: mean and range over seeds"
    right.set_title(title, fontsize=9, loc="left")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    handles, labels = right.get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    return as_files(sheet)


def _draw_trials(axes: Any, of: Sequence[Outcome], *, color: str) -> None:
    trials = [trial for one in of for trial in one.trials]
    ratios = [trial.of_target for trial in trials]
    axes.scatter(ratios, [100 * trial.accuracy for trial in trials], s=14, color=color, alpha=0.5)
    ends = [(one.of_target, 100 * one.test) for one in of if one.test is not None]
    if ends:
        axes.scatter(*zip(*ends, strict=True), s=110, marker="*", color=color, edgecolors="black")


def _draw_progress(axes: Any, of: Sequence[Outcome], *, name: str, color: str) -> None:
    curves = [steps for one in of if (steps := _best_so_far(one.trials)) is not None]
    label = f"{name} (★ finalists)"
    if not curves:
        axes.plot([], [], color=color, label=label)
        return
    end = max(float(seconds[-1]) for seconds, _ in curves)
    begin = max(float(seconds[0]) for seconds, _ in curves)  # from where on every seed has a trial
    grid = np.linspace(begin, end, 200)
    every = np.array([_at(grid, *curve) for curve in curves])
    axes.plot(grid / 60, every.mean(axis=0), color=color, lw=1.6, label=label)
    if len(every) > 1:
        axes.fill_between(
            grid / 60, every.min(axis=0), every.max(axis=0), color=color, alpha=0.12, lw=0
        )


def _best_so_far(trials: Sequence[Tried]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return when the best trial within the target changes, in seconds, and its accuracy in percent."""
    spent, best = 0.0, -1.0
    steps: list[tuple[float, float]] = []
    for trial in trials:
        spent += trial.train_s
        if trial.of_target <= 1 and trial.accuracy > best:
            best = trial.accuracy
            steps.append((spent, 100 * best))
    if not steps:
        return None
    steps.append((spent, 100 * best))
    seconds, accuracies = zip(*steps, strict=True)
    return np.array(seconds), np.array(accuracies)


def _at(
    grid: NDArray[np.float64], seconds: NDArray[np.float64], accuracies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the best accuracy at some times; the last one holds after the search's end."""
    return accuracies[np.clip(np.searchsorted(seconds, grid, side="right") - 1, 0, None)]
