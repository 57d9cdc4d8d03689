"""Compare controllers on several tables: the best network after N trials.

    # FOLDER holds macro/ and anb/
    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.controllers.compare_controllers
    ... --kept runs/curves.jsonl --picture curves.png    # needs matplotlib

Finished searches are stored in that file and not run again: choose another one when the code has changed.

Without the folder only the synthetic tables are run (``controller_tables.py``). Controllers receive noisy
readings and are judged by true values (``searches.py``). For noisy tables a second list shows the network
that a search returns if it selects by the best reading, or by the surrogate's estimate. The last column is
the CPU time of asking and telling in a whole search; compare it with OMP_NUM_THREADS=1 set.
The picture has a panel per table: the mean over seeds of the best true value so far, with its 95% interval.
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.controllers.peers import PEERS
from benchmarks.controllers.searches import (
    CHOSEN,
    MOST_TRIALS,
    Found,
    by_controller,
    known_tables,
    solve_all,
    tasks_of,
)
from controllers import CONTROLLERS

BUDGETS = (50, 100, 200, 500, 1000, 2000)


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half of its 95% interval (normal approximation)."""
    return statistics.mean(values), 1.96 * statistics.stdev(values) / len(values) ** 0.5


def interval(values: Sequence[float]) -> str:
    """Format as `93.107 ± 0.008`."""
    return "{:.3f} ± {:.3f}".format(*mean_and_half(values))


def report(name: str, noise: float, searches: dict[str, list[Found]]) -> None:
    """Print one table, one row per controller."""
    print(f"\n### {name}" + (f" (noise {noise})" if noise else ""))
    trials = min(len(f.curve) for each in searches.values() for f in each)
    budgets = [budget for budget in BUDGETS if budget <= trials]
    titles = [f"N={budget}" for budget in budgets]
    if noise:
        ends = [n for n in CHOSEN if n <= trials]
        titles += [f"N={b}, by {how}" for b in ends for how in ("reading", "estimate")]
    titles.append("CPU s")
    print("\n| controller | " + " | ".join(titles) + " |")
    print("|---" * (1 + len(titles)) + "|")
    for controller, each in searches.items():
        rows = [
            [*(f.curve[budget - 1] for budget in budgets), *(v for pair in f.chosen for v in pair)]
            for f in each
        ]
        columns = [interval(column) for column in zip(*rows, strict=True)]
        known = all(f.overhead_s for f in each)
        columns.append(interval([f.overhead_s[-1] for f in each]) if known else "-")
        print(f"| {controller} | " + " | ".join(columns) + " |")


def draw(panels: dict[str, dict[str, list[Found]]], path: Path) -> None:
    """Draw a panel per table, with a line and its interval per controller."""
    from matplotlib.figure import Figure

    colours = {
        "uniform": "#8A949E",
        "evolution": "#D55E00",
        "rnn": "#00785A",
        "screened": "#0072B2",
    }
    titles = {"uniform": "random", "rnn": "REINFORCE", "screened": "screened REINFORCE"}
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, searches) in zip(every, panels.items(), strict=False):
        shown: list[float] = []
        for controller, each in searches.items():
            lines = np.array([f.curve for f in each])
            mean = lines.mean(axis=0)
            half = 1.96 * lines.std(axis=0, ddof=1) / len(lines) ** 0.5
            trials = np.arange(1, len(mean) + 1)
            colour = colours.get(controller)
            axes.plot(trials, mean, color=colour, lw=1.6, label=titles.get(controller, controller))
            axes.fill_between(trials, mean - half, mean + half, color=colour, alpha=0.2, lw=0)
            shown += [mean[9] - half[9], (mean + half).max()]
        low, high = min(shown), max(shown)
        axes.set_ylim(low - 0.03 * (high - low), high + 0.05 * (high - low))
        axes.set_title(name, fontsize=10, loc="left")
        axes.grid(color="#E6E9ED")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(every)[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("trials", fontsize=10)
    figure.supylabel("best true value so far", fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=110)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50, help="searches per controller and table")
    parser.add_argument("--first-seed", type=int, default=0, help="of the consecutive seeds")
    parser.add_argument("--trials", type=int, default=MOST_TRIALS, help="per search")
    parser.add_argument("--batch", type=int, default=10, help="trials per ask")
    parser.add_argument("--table", action="append", help="only this one (may be repeated)")
    parser.add_argument(
        "--controller",
        action="append",
        metavar="NAME",
        help=f"only this one (may be repeated); also {', '.join(PEERS)}",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--kept", type=Path, help="JSONL file to resume from")
    parser.add_argument("--picture", type=Path, help="where to draw the curves")
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    if "MOBILE_NAS_BENCH" not in os.environ:
        print("MOBILE_NAS_BENCH is not set: synthetic tables only")
    names = given.table or list(known_tables())
    for name in names:
        if name not in known_tables():
            raise SystemExit(f"unknown table {name}: choose from {', '.join(known_tables())}")
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    print(f"Best true value after N trials, {given.seeds} seeds, batches of {given.batch}")
    panels = {}
    for name in names:
        tasks = list(
            tasks_of(
                name,
                seeds=seeds,
                batch=given.batch,
                trials=given.trials,
                controllers=given.controller or tuple(CONTROLLERS),
            )
        )
        panels[name] = by_controller(solve_all(tasks, kept=given.kept, jobs=given.jobs), tasks)
        report(name, known_tables()[name](0).noise, panels[name])
    if given.picture is not None:
        draw(panels, given.picture)


if __name__ == "__main__":
    main()
