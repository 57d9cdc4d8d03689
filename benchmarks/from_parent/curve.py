"""Draw accuracy over latency from comparisons at several targets, of one search with `--curve` or of more.

    python -m benchmarks.from_parent.curve runs/A runs/B runs/C --picture curve.png

Compare each run first, by `benchmarks.from_parent.compare`, and its further finalists with `--trial N`. A
point is a network's mean test accuracy with its 95% interval over seeds, at its latency relative to the
parent's on the first device. A line joins the networks of one kind: of each comparison the one with the
highest held-out accuracy. The others of that kind are pale. All runs need the same parent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.from_parent.comparison import read_comparisons
from search_spaces import InputError

LABELS = {
    "search": "search",
    "width": "width multiplier",
    "netadapt": "NetAdapt",
    "resolution": "smaller images",
    "torch-pruning": "Torch-Pruning",
    "random": "random search",
}
"""What each kind of network is called; a checkpoint has its own name."""

COLORS = {
    "search": "#0072B2",
    "width": "#D55E00",
    "netadapt": "#56B4E9",
    "resolution": "#E69F00",
    "torch-pruning": "#00785A",
    "random": "#8A949E",
}
OTHERS = ("#CC79A7", "#7A5195", "#A6761D", "#000000")
MARKERS = {
    "search": "o",
    "width": "s",
    "resolution": "v",
    "torch-pruning": "^",
    "random": "x",
    "netadapt": "D",
}


@dataclass(frozen=True)
class Point:
    """A network in the picture.

    Attributes:
        of_parent: Its latency in percent of the parent's.
        of_parent_ci95: The 95% interval of that.
        accuracy: Mean test accuracy in percent.
        half: Half of its 95% interval over seeds; None for one seed.
        best: Whether no other of its kind in its comparison has a higher held-out accuracy.
    """

    of_parent: float
    of_parent_ci95: tuple[float, float]
    accuracy: float
    half: float | None
    best: bool


def points(comparisons: Sequence[dict[str, Any]]) -> dict[str, list[Point]]:
    """Return the networks of each kind, the fastest first; of a checkpoint by its file's name.

    Args:
        comparisons: Contents of each run's `compare.json`.
    """
    found: dict[str, list[Point]] = {}
    for one in comparisons:
        kinds: dict[str, list[dict[str, Any]]] = {}
        for network in one["networks"]:
            if network["mean_percent"] is not None:
                kinds.setdefault(_kind(network), []).append(network)
        for kind, networks in kinds.items():
            best = max(networks, key=lambda network: float(network["held_out_percent"]))
            found.setdefault(kind, []).extend(
                _point(network, best=network is best) for network in networks
            )
    return {kind: sorted(of, key=lambda point: point.of_parent) for kind, of in found.items()}


def _kind(network: dict[str, Any]) -> str:
    if network["kind"] != "file":
        return str(network["kind"])
    return str(network["name"]).rpartition(" at ")[0]


def _point(network: dict[str, Any], *, best: bool) -> Point:
    latency = network["latencies"][0]
    low, high = latency["of_first_ci95"]
    return Point(
        100 * latency["of_first"],
        (100 * low, 100 * high),
        network["mean_percent"],
        network["half_interval_points"],
        best,
    )


def draw(kinds: dict[str, list[Point]], parent_percent: float, path: Path) -> None:
    """Draw a line per kind, with intervals, and the parent."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    others = iter(OTHERS * len(kinds))
    for kind, of in kinds.items():
        color = COLORS.get(kind) or next(others)
        style: dict[str, Any] = {
            "color": color,
            "marker": MARKERS.get(kind, "D"),
            "ms": 5,
            "capsize": 2,
        }
        for best in (True, False):
            shown = [point for point in of if point.best == best]
            if not shown:
                continue
            axes.errorbar(
                [point.of_parent for point in shown],
                [point.accuracy for point in shown],
                xerr=_sides(shown),
                yerr=[point.half or 0.0 for point in shown],
                lw=1.6 if best else 0,
                elinewidth=1,
                alpha=1.0 if best else 0.35,
                label=LABELS.get(kind, kind) if best else None,
                **style,
            )
    axes.plot([100], [parent_percent], "*", color="#222222", ms=11, label="the parent")
    axes.set_xlabel("latency, % of the parent's")
    axes.set_ylabel("test accuracy, %")
    axes.grid(color="#E6E9ED")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=130)


def _sides(shown: Sequence[Point]) -> list[list[float]]:
    """Return how far each latency's interval reaches below and above it, (2, points)."""
    return [
        [max(0.0, point.of_parent - point.of_parent_ci95[0]) for point in shown],
        [max(0.0, point.of_parent_ci95[1] - point.of_parent) for point in shown],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="+", help="folders of compared runs")
    parser.add_argument("--picture", type=Path, default=Path("curve.png"), help="(curve.png)")
    given = parser.parse_args()
    try:
        comparisons = [one for run in given.run for one in read_comparisons(run)]
    except InputError as error:
        raise SystemExit(str(error)) from error
    parents = [one["parent"] for one in comparisons]
    if len({(parent["spec"], round(parent["test"], 4)) for parent in parents}) > 1:
        raise SystemExit("the runs have different parents, so their latencies do not compare")
    draw(points(comparisons), 100 * parents[0]["test"], given.picture)
    print(f"drawn to {given.picture}")


if __name__ == "__main__":
    main()
