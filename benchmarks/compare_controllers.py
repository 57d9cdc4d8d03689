"""Controllers compared on several tables: the best network after N trials.

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.compare_controllers    # FOLDER holds macro/ and anb/

Without the folder only the synthetic tables are run (``controller_tables.py``). A controller is told
readings, with the table's noise; what it has found is judged by the true values. A sequence asked
for twice counts twice. Of the noisy tables a second list says what a search returns that has to choose
from its readings: by the best reading, or by the surrogate's estimate.
"""

import argparse
import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from benchmarks.controller_tables import MakeTable, Table, tables
from controllers import CONTROLLERS, Tokens, make_controller
from controllers.surrogate import fit

BUDGETS = (50, 100, 200)


@dataclass(frozen=True)
class Trial:
    """What was asked for, its true value and the reading that the controller was told."""

    tokens: Tokens
    true: float
    reading: float


def search(name: str, table: Table, *, seed: int, batch: int) -> list[Trial]:
    """One search of as many trials as the largest budget."""
    luck = random.Random(f"noise {seed}")
    controller = make_controller(name, table.arities, seed=seed)
    trials: list[Trial] = []
    while len(trials) < max(BUDGETS):
        asked = controller.ask(min(batch, max(BUDGETS) - len(trials)))
        true = [table.value(tokens) for tokens in asked]
        readings = [value + luck.gauss(0.0, table.noise) for value in true]
        controller.tell(list(zip(asked, readings, strict=True)))
        trials += [Trial(*trial) for trial in zip(asked, true, readings, strict=True)]
    return trials


def best_so_far(trials: Sequence[Trial]) -> list[float]:
    """Best true value after each budget."""
    best = list(accumulate((trial.true for trial in trials), max))
    return [best[budget - 1] for budget in BUDGETS]


def chosen(trials: Sequence[Trial], arities: tuple[int, ...]) -> tuple[float, float]:
    """True value of the trial of best reading, and of the one of best estimate."""
    model = fit(arities, [t.tokens for t in trials], [t.reading for t in trials])
    estimates, _ = model.estimate([trial.tokens for trial in trials])
    by_estimate = max(zip(estimates, trials, strict=True), key=lambda pair: pair[0])[1]
    return max(trials, key=lambda trial: trial.reading).true, by_estimate.true


def interval(values: Sequence[float]) -> str:
    """Mean and its 95% interval (normal approximation)."""
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.3f} ± {half:.3f}"


def compare(name: str, make_table: MakeTable, *, seeds: range, batch: int) -> None:
    """Print one table's rows."""
    noise = make_table(0).noise
    print(f"\n### {name}" + (f" (noise {noise})" if noise else ""))
    titles = [f"N={budget}" for budget in BUDGETS]
    if noise:
        titles += [f"N={b}, by {how}" for b in BUDGETS[:2] for how in ("reading", "estimate")]
    print("\n| controller | " + " | ".join(titles) + " |")
    print("|---" * (1 + len(titles)) + "|", flush=True)
    for controller in CONTROLLERS:
        rows: list[list[float]] = []
        for seed in seeds:
            table = make_table(seed)
            trials = search(controller, table, seed=seed, batch=batch)
            row = best_so_far(trials)
            for budget in BUDGETS[:2] if noise else ():
                row += chosen(trials[:budget], table.arities)
            rows.append(row)
        columns = [interval(column) for column in zip(*rows, strict=True)]
        print(f"| {controller} | " + " | ".join(columns) + " |", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50, help="searches per controller and table")
    parser.add_argument("--batch", type=int, default=10, help="trials per ask")
    parser.add_argument("--table", action="append", help="only this one (may be repeated)")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    folder = os.environ.get("MOBILE_NAS_BENCH")
    if folder is None:
        print("MOBILE_NAS_BENCH is not set: synthetic tables only")
    known = tables(Path(folder) if folder else None)
    for name in arguments.table or known:
        if name not in known:
            raise SystemExit(f"unknown table {name}: choose from {', '.join(known)}")
    print(f"Best true value after N trials, {arguments.seeds} seeds, batches of {arguments.batch}")
    for name in arguments.table or known:
        compare(name, known[name], seeds=range(arguments.seeds), batch=arguments.batch)


if __name__ == "__main__":
    main()
