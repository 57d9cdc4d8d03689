"""Are repeated trainings of the most promising networks worth the new networks that they replace?

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.controllers.second_readings

Screened searches of the noisy tables (`controller_tables.py`) with an equal total number of readings. Some
are reserved for the end: one second reading of each of the networks with the best estimates. Then the
search returns the network that the surrogate, fitted to all readings, estimates best: reported is its true
value, and that of the best of three, like finalists after longer training. The first row of a table has no
second readings; the others show the paired difference to it, with a 95% interval.
"""

import argparse
import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch

from benchmarks.controllers.compare_controllers import interval, mean_and_half
from benchmarks.controllers.controller_tables import Table
from benchmarks.controllers.searches import Trial, known_tables, search
from controllers.surrogate import fit

READINGS = (50, 100)
KEPT = (0.0, 0.1, 0.2, 0.4)
"""Parts of the readings that are second ones."""

FINALISTS = 3
BATCH = 10


def ranked(trials: Sequence[Trial], table: Table) -> list[Trial]:
    """Return each network once, best estimate first."""
    model = fit(table.arities, [t.tokens for t in trials], [t.reading for t in trials])
    distinct = {trial.tokens: trial for trial in trials}
    estimates, _ = model.estimate(list(distinct))
    return [
        t for _, t in sorted(zip(estimates, distinct.values(), strict=True), key=lambda p: -p[0])
    ]


def read_again(trials: list[Trial], table: Table, *, count: int, seed: int) -> list[Trial]:
    """Add second readings of the `count` most promising networks."""
    luck = random.Random(f"second {seed}")
    again = [
        Trial(t.tokens, t.true, t.true + luck.gauss(0.0, table.noise))
        for t in (ranked(trials, table)[:count] if count else [])
    ]
    return [*trials, *again]


Found = dict[tuple[int, float], tuple[float, float]]
"""By number of readings and part kept: true value of the one returned, and of the best of three."""


def solve(name: str, seed: int) -> Found:
    """Run a search of a table."""
    torch.set_num_threads(1)
    table = known_tables()[name](seed)
    trials = search("screened", table, seed=seed, batch=BATCH, trials=max(READINGS))
    found = {}
    for readings in READINGS:
        for part in KEPT:
            kept = round(part * readings)
            best = ranked(
                read_again(trials[: readings - kept], table, count=kept, seed=seed), table
            )[:FINALISTS]
            found[readings, part] = (best[0].true, max(trial.true for trial in best))
    return found


def _added(each: Sequence[Found], readings: int, part: float, which: int) -> str:
    """Format a cell: the value without second readings, or the difference that some make."""
    plain = [found[readings, 0.0][which] for found in each]
    if not part:
        return interval(plain)
    more = [found[readings, part][which] for found in each]
    mean, half = mean_and_half([m - p for m, p in zip(more, plain, strict=True)])
    return f"{mean:+.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50, help="searches of each table")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    given = parser.parse_args()
    names = [name for name, make in known_tables().items() if make(0).noise]
    titles = [f"{n} readings, {how}" for n in READINGS for how in ("returned", "best of three")]
    print("\n| table | second readings | " + " | ".join(titles) + " |")
    print("|---" * (2 + len(titles)) + "|")
    with ProcessPoolExecutor(given.jobs) as pool:
        for name in names:
            each = list(pool.map(partial(solve, name), range(given.seeds)))
            for part in KEPT:
                cells = [
                    _added(each, readings, part, which) for readings in READINGS for which in (0, 1)
                ]
                print(f"| {name} | {part:.0%} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
