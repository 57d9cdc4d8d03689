"""The report's table of trials."""

from __future__ import annotations

from typing import Any

from nas.engine.trial import Trial
from nas.formatting import choices_by_block, marked_interval, metric_title, percent, three_digits
from nas.searching.results.record import RunRecord, usable

Cell = tuple[float | None, str]
"""What a column sorts by (None sorts last), and its text."""


def column_titles(run: RunRecord) -> list[str]:
    """Return the column titles; estimates are marked, and several devices are named."""
    proxy, deployed = f", {run.sizes.proxy_px} px", f", {run.sizes.deployed_px} px"
    if run.sizes.searched:
        proxy = deployed = ""
    titles = [
        "Trial",
        f"{metric_title(run.metric)}{proxy}",
        f"Estimate{proxy}",
        f"Longer{deployed}",
    ]
    for device in run.devices:
        name = f"{device.short}, ms" if len(run.devices) > 1 else "Latency, ms"
        name += deployed
        titles += [name + (" (estimate)" if device.estimate else ""), "95% interval"]
    return [*titles, "Reward", "Params, M", "MAdds, M"]


def table_rows(run: RunRecord) -> list[dict[str, Any]]:
    """Return the rows, best reward first."""
    return [table_row(run, trial) for trial in _by_reward(run)]


def _by_reward(run: RunRecord) -> list[Trial]:
    return sorted(run.trials, key=lambda trial: (not usable(trial), -trial.reward, trial.index))


def table_row(run: RunRecord, trial: Trial) -> dict[str, Any]:
    """Return a row: its cells, and in `by` the values that its columns sort by."""
    accuracy = trial.accuracy
    estimate = run.estimates.get(trial.index)
    longer = _accuracies(run, "final").get(trial.index)
    again = _accuracies(run, "repeat").get(trial.index)
    winner = run.result is not None and run.result.is_of(trial)
    return {
        "trial": trial,
        "failed": not usable(trial),
        "mark": "winner" if winner else "front" if trial in run.front else "",
        "cells": [
            (trial.index, str(trial.index)),
            (accuracy, percent(accuracy) if accuracy is not None else ""),
            (estimate.accuracy, percent(estimate.accuracy)) if estimate else (None, ""),
            (longer, percent(longer) if longer is not None else ""),
            *_latency_cells(run, trial),
            (
                trial.reward if usable(trial) else None,
                f"{trial.reward:.3f}" if usable(trial) else "",
            ),
            (trial.params, three_digits(trial.params / 1e6)),
            (trial.madds, three_digits(trial.madds / 1e6)),
        ],
        "again": percent(again) if again is not None else "",
        "blocks": choices_by_block(trial.tokens, run.labels),
    }


def _accuracies(run: RunRecord, kind: str) -> dict[int, float | None]:
    return {trial.index: trial.accuracy for trial in run.again(kind)}


def _latency_cells(run: RunRecord, trial: Trial) -> list[Cell]:
    """Return two cells per device: the latency and its interval."""
    nothing: Cell = (None, "")
    if not trial.latencies:
        return [nothing] * 2 * len(run.devices)
    cells: list[Cell] = []
    for latency in trial.latencies:
        cells.append((latency.median_ms, three_digits(latency.median_ms)))
        cells.append((latency.ci95_ms[1], marked_interval(latency)))
    return cells
