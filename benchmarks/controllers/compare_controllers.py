"""Compare controllers on several tables: the best network after N trials.

    # FOLDER holds macro/ and anb/
    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.controllers.compare_controllers
    ... --trials 2000 --controller rnn    # long searches
    ... --kept runs/curves.jsonl --picture curves.png    # needs matplotlib

Finished searches are stored in that file and not run again: choose another one when the code has changed.

Without the folder only the synthetic tables are run (``controller_tables.py``). Controllers receive noisy
readings and judged by true values. A sequence asked for twice counts twice. For noisy tables a second list
shows the network that a search returns if it selects by the best reading, or by the surrogate's estimate.
The picture has a panel per table: the mean over seeds of the best true value so far, with its 95% interval.
"""

import argparse
import os
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from benchmarks.controllers.controller_tables import MakeTable, Table, tables
from benchmarks.controllers.kept_searches import solve_all
from benchmarks.controllers.peers import PEERS, Peer, make_peer
from controllers import CONTROLLERS, Tokens
from controllers.surrogate import fit

BUDGETS = (50, 100, 200)
LONGER = (500, 1000, 2000)  # with --trials
CHOSEN = BUDGETS[:2]  # where a search's own choice is reported too


@dataclass(frozen=True)
class Trial:
    """A sequence, its true value and the reading told to the controller."""

    tokens: Tokens
    true: float
    reading: float


@dataclass(frozen=True)
class Task:
    """One search."""

    table: str
    controller: str
    seed: int
    batch: int
    trials: int = max(BUDGETS)


@dataclass(frozen=True)
class Found:
    """Result of a search.

    Attributes:
        curve: Best true value after each trial. chosen: For a noisy table and each of `CHOSEN`: true value
        of the trial with the best reading, and of
            the one with the best estimate.
    """

    curve: list[float]
    chosen: list[tuple[float, float]]


def search(
    name: str, table: Table, *, seed: int, batch: int, trials: int = max(BUDGETS)
) -> list[Trial]:
    """Run one search."""
    controller = make_peer(name, table.arities, seed=seed)
    return played(controller, table, seed=seed, batch=batch, trials=trials)


def played(controller: Peer, table: Table, *, seed: int, batch: int, trials: int) -> list[Trial]:
    """Ask a controller for networks, and tell it their readings."""
    luck = random.Random(f"noise {seed}")
    done: list[Trial] = []
    while len(done) < trials:
        asked = controller.ask(min(batch, trials - len(done)))
        true = [table.value(tokens) for tokens in asked]
        readings = [value + luck.gauss(0.0, table.noise) for value in true]
        controller.tell(list(zip(asked, readings, strict=True)))
        done += [Trial(*trial) for trial in zip(asked, true, readings, strict=True)]
    return done


def curve(trials: Sequence[Trial]) -> list[float]:
    """Return the best true value after each trial."""
    return list(accumulate((trial.true for trial in trials), max))


def best_so_far(trials: Sequence[Trial]) -> list[float]:
    """Return the best true value after each budget."""
    return [curve(trials)[budget - 1] for budget in BUDGETS]


def chosen(trials: Sequence[Trial], arities: tuple[int, ...]) -> tuple[float, float]:
    """Return the true values of the trials with the best reading and the best estimate."""
    model = fit(arities, [t.tokens for t in trials], [t.reading for t in trials])
    estimates, _ = model.estimate([trial.tokens for trial in trials])
    by_estimate = max(zip(estimates, trials, strict=True), key=lambda pair: pair[0])[1]
    return max(trials, key=lambda trial: trial.reading).true, by_estimate.true


@cache
def known_tables() -> dict[str, MakeTable]:
    """Return every available table, made once per process."""
    folder = os.environ.get("MOBILE_NAS_BENCH")
    return tables(Path(folder) if folder else None)


def solve(task: Task) -> Found:
    """Run a search."""
    torch.set_num_threads(1)
    table = known_tables()[task.table](task.seed)
    trials = search(task.controller, table, seed=task.seed, batch=task.batch, trials=task.trials)
    choices = [chosen(trials[:n], table.arities) for n in CHOSEN] if table.noise else []
    return Found(curve(trials), choices)


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half of its 95% interval (normal approximation)."""
    return statistics.mean(values), 1.96 * statistics.stdev(values) / len(values) ** 0.5


def interval(values: Sequence[float]) -> str:
    """Format as `93.107 ± 0.008`."""
    return "{:.3f} ± {:.3f}".format(*mean_and_half(values))


def report(name: str, noise: float, searches: dict[str, list[Found]], *, trials: int) -> None:
    """Print one table, one row per controller."""
    budgets = [budget for budget in (*BUDGETS, *LONGER) if budget <= trials]
    print(f"\n### {name}" + (f" (noise {noise})" if noise else ""))
    titles = [f"N={budget}" for budget in budgets]
    if noise:
        titles += [f"N={b}, by {how}" for b in CHOSEN for how in ("reading", "estimate")]
    print("\n| controller | " + " | ".join(titles) + " |")
    print("|---" * (1 + len(titles)) + "|")
    for controller, each in searches.items():
        rows = [
            [*(f.curve[budget - 1] for budget in budgets), *(v for pair in f.chosen for v in pair)]
            for f in each
        ]
        columns = [interval(column) for column in zip(*rows, strict=True)]
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


def by_controller(found: dict[Task, Found], tasks: Sequence[Task]) -> dict[str, list[Found]]:
    """Return the searches by controller, in the order of their seeds."""
    names = dict.fromkeys(task.controller for task in tasks)
    return {name: [found[t] for t in tasks if t.controller == name] for name in names}


def tasks_of(
    name: str,
    *,
    seeds: int,
    batch: int,
    controllers: Sequence[str] = tuple(CONTROLLERS),
    trials: int = max(BUDGETS),
) -> Iterator[Task]:
    """Yield every controller's searches of a table."""
    for controller in controllers:
        for seed in range(seeds):
            yield Task(name, controller, seed, batch, trials)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50, help="searches per controller and table")
    parser.add_argument("--batch", type=int, default=10, help="trials per ask")
    parser.add_argument("--trials", type=int, default=max(BUDGETS), help="trials per search")
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
    if given.trials < max(CHOSEN):
        raise SystemExit(f"--trials must be at least {max(CHOSEN)}, got {given.trials}")
    names = given.table or list(known_tables())
    for name in names:
        if name not in known_tables():
            raise SystemExit(f"unknown table {name}: choose from {', '.join(known_tables())}")
    print(f"Best true value after N trials, {given.seeds} seeds, batches of {given.batch}")
    panels = {}
    for name in names:
        controllers = given.controller or tuple(CONTROLLERS)
        tasks = list(
            tasks_of(
                name,
                seeds=given.seeds,
                batch=given.batch,
                controllers=controllers,
                trials=given.trials,
            )
        )
        found = solve_all(tasks, solve, Found, kept=given.kept, jobs=given.jobs)
        panels[name] = by_controller(found, tasks)
        report(name, known_tables()[name](0).noise, panels[name], trials=given.trials)
    if given.picture is not None:
        draw(panels, given.picture)


if __name__ == "__main__":
    main()
