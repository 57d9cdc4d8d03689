"""The networks of a search as a table, and their Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import le
from typing import TYPE_CHECKING

from nas.engine.job import RIVAL, RIVAL_TRIAL, Key
from nas.engine.trial import Trial
from nas.searching.from_parent.rivals import Rival
from nas.searching.sizes import Sizes

if TYPE_CHECKING:
    import pandas as pd


def pareto_front(trials: Sequence[Trial], *, device: int | None = None) -> list[Trial]:
    """Return the trials that no other dominates in accuracy and every latency, fastest first.

    Args:
        trials: The search's trials.
        device: Index of the only device to consider; all by default.
    """

    def costs(trial: Trial) -> tuple[float, ...]:
        times = trial.latencies_ms if device is None else trial.latencies_ms[device : device + 1]
        return (*times, -(trial.accuracy or 0.0))

    front: list[Trial] = []
    good = [trial for trial in trials if trial.ok]
    for trial in sorted(
        good, key=lambda t: (costs(t), t.index)
    ):  # later ones dominate none of these
        if not any(all(map(le, costs(other), costs(trial))) for other in front):
            front.append(trial)
    return front


def network_file(trial: Trial) -> str:
    """Return the path of a network's checkpoint within the run's folder."""
    return f"networks/{'trial' if trial.kind == 'final' else trial.kind}-{trial.index}.pt"


def frame(
    trials: Sequence[Trial],
    *,
    sizes: Sizes,
    finals: Sequence[Trial] = (),
    winner: Trial | None = None,
    rivals: Sequence[Rival] = (),
    checkpoints: Mapping[Key, str] | None = None,
) -> pd.DataFrame:
    """Return the networks as a table, one row each: the trials, then the rivals.

    Latency on a second device is `latency_2_ms`, and so on. `pareto` marks the trials that no other
    dominates, and `deploy` the networks trained for longer that no other of these dominates.

    Args:
        trials: The search's trials.
        sizes: `accuracy` is of the proxy resolution, latencies and `longer_accuracy` of the deployed one.
        finals: The finalists' trainings and the rivals', which give `longer_accuracy`.
        winner: The network that `winner` marks.
        rivals: The networks that finalists are compared with.
        checkpoints: File of each network that was trained for longer.
    """
    import pandas as pd

    long = {trial.key: trial for trial in finals if trial.kind in ("final", RIVAL)}
    short = {trial.index: trial.accuracy for trial in finals if trial.kind == RIVAL_TRIAL}
    front = {trial.index for trial in pareto_front(trials)}
    deploy = {trial.key for trial in pareto_front(list(long.values()))}
    devices = max([1, *(len(trial.latencies) for trial in trials)])

    def longer(key: Key) -> dict[str, object]:
        return {
            "longer_accuracy": long[key].accuracy if key in long else None,
            "deploy": key in deploy,
            "winner": winner is not None and key == winner.key,
            "checkpoint": (checkpoints or {}).get(key),
        }

    def row(t: Trial, key: Key) -> dict[str, object]:
        return {
            "trial": t.index,
            "name": None,
            "batch": t.batch,
            "accuracy": t.accuracy,
            "accuracy_px": t.px or sizes.proxy_px,
            **_columns(t, devices),
            "latency_px": sizes.latency_px(t.px),
            "reward": t.reward,
            "params": t.params,
            "madds": t.madds,
            "pareto": t.index in front,
            **longer(key),
            "fingerprint": t.fingerprint,
            "tokens": " ".join(map(str, t.tokens)),
            "error": t.error,
        }

    rows = [row(trial, ("final", trial.index)) for trial in trials]
    for trial in (one for one in long.values() if one.kind == RIVAL):
        own = {"trial": None, "name": rivals[trial.index].name, "pareto": False}
        # As trials the rivals have no reward: no controller proposed them.
        rows.append(
            row(trial, trial.key) | own | {"accuracy": short.get(trial.index), "reward": None}
        )
    table = pd.DataFrame(rows)
    return table.astype({"trial": "Int64"}) if rows else table


def _columns(trial: Trial, devices: int) -> dict[str, float | None]:
    """Return a trial's latencies with their intervals, None if it was not measured."""
    columns: dict[str, float | None] = {}
    for device in range(devices):
        name = "latency" if device == 0 else f"latency_{device + 1}"
        latency = trial.latencies[device] if trial.latencies else None
        columns[f"{name}_ms"] = latency.median_ms if latency else None
        columns[f"{name}_low_ms"] = latency.ci95_ms[0] if latency else None
        columns[f"{name}_high_ms"] = latency.ci95_ms[1] if latency else None
    return columns
