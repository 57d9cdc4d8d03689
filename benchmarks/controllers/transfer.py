"""The gain of beginning a search with the policy of an earlier one (`nas-search --policy`).

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.controllers.transfer --kept runs/transfer.jsonl

Finished searches are stored in that file and not run again: choose another one when the code has changed.

Pairs of tables are in `transfer_pairs.py`: an earlier search of the first, then one of the second. The
rival of the policy are the ten best networks of the same earlier search, by their readings: they are the
first trials of a search whose policy is new.

Printed for each controller: the best true value among the first N trials, and what each beginning adds to
it, search by search; means with 95% intervals over seeds.
"""

import argparse
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.controllers.compare_controllers import interval, mean_and_half
from benchmarks.controllers.controller_tables import Table
from benchmarks.controllers.kept_searches import solve_all
from benchmarks.controllers.searches import Trial, curve, played
from benchmarks.controllers.transfer_pairs import LATER, pairs
from controllers import CanTransfer, Controller, make_controller, reinforce

BUDGETS = (20, 50, 100)
BATCH = 10
BEST = 10
"""Networks of the earlier search that are tried first, in place of its policy."""

SHORT, LONG = 100, 1000
"""Trials of the earlier search."""


@dataclass(frozen=True)
class Beginning:
    """What a controller begins with, of an earlier search.

    Attributes:
        trials: of the earlier search, by the same controller; 0 begins with nothing.
        best: its best networks, in place of its policy.
        firm: its policy as it was, in place of softened.
    """

    trials: int = 0
    best: bool = False
    firm: bool = False

    def __str__(self) -> str:
        if not self.trials:
            return "nothing"
        what = f"{BEST} best" if self.best else "policy"
        return f"{what} of {self.trials:,} trials{', not softened' if self.firm else ''}"


NOTHING = Beginning()
BEGINNINGS = {
    "rnn": (
        NOTHING,
        Beginning(SHORT),
        Beginning(SHORT, best=True),
        Beginning(LONG),
        Beginning(LONG, firm=True),
        Beginning(LONG, best=True),
    ),
    # An earlier search of 1,000 trials would take half a minute.
    "screened": (NOTHING, Beginning(SHORT), Beginning(SHORT, best=True)),
}


@dataclass(frozen=True)
class Task:
    """All beginnings of a controller, after one earlier search of a pair."""

    pair: str
    controller: str
    seed: int


@dataclass(frozen=True)
class Found:
    """The best true value after each of `BUDGETS`, by beginning."""

    best: dict[str, list[float]]


def solve(task: Task) -> Found:
    """Run the earlier searches, and then one for each beginning."""
    torch.set_num_threads(1)
    source, target = (make(task.seed) for make in pairs()[task.pair])
    earlier: dict[int, tuple[Controller, list[Trial]]] = {}
    best = {}
    for beginning in BEGINNINGS[task.controller]:
        trials = beginning.trials
        if trials and trials not in earlier:
            controller = make_controller(task.controller, source.arities, seed=task.seed)
            done = played(controller, source, seed=task.seed, batch=BATCH, trials=trials)
            earlier[trials] = controller, done
        later = begun(task, target, beginning, *earlier.get(trials, (None, [])))
        best[str(beginning)] = [curve(later)[budget - 1] for budget in BUDGETS]
    return Found(best)


def begun(
    task: Task,
    table: Table,
    beginning: Beginning,
    earlier: Controller | None,
    done: Sequence[Trial],
) -> list[Trial]:
    """Run the later search.

    Args:
        task: its controller and seed.
        table: its table.
        beginning: what of the earlier search it begins with.
        earlier: controller of that search, if it is used.
        done: trials of that search.
    """
    controller = make_controller(task.controller, table.arities, seed=task.seed + LATER)
    first: list[Trial] = []
    if beginning.best:
        first = list(tried_again(done, table, seed=task.seed + LATER))
        controller.tell([(trial.tokens, trial.reading) for trial in first])
    elif earlier is not None:
        assert isinstance(earlier, CanTransfer)
        assert isinstance(controller, CanTransfer)
        least = 0.0 if beginning.firm else reinforce.TRANSFER_ENTROPY
        with patch("controllers.reinforce.TRANSFER_ENTROPY", least):
            controller.begin_with(earlier.saved_policy())
    rest = max(BUDGETS) - len(first)
    return [*first, *played(controller, table, seed=task.seed + LATER, batch=BATCH, trials=rest)]


def tried_again(done: Sequence[Trial], table: Table, *, seed: int) -> Iterator[Trial]:
    """Yield trials of the networks with the best readings of an earlier search."""
    luck = random.Random(f"again {seed}")
    order = sorted(done, key=lambda trial: -trial.reading)
    for tokens in list(dict.fromkeys(trial.tokens for trial in order))[:BEST]:
        true = table.value(tokens)
        yield Trial(tokens, true, true + luck.gauss(0.0, table.noise))


def report(pair: str, controller: str, each: Sequence[Found]) -> None:
    """Print the rows of a controller: what it finds from nothing, and what each beginning adds."""
    plain = [found.best[str(NOTHING)] for found in each]
    cells = [interval(column) for column in zip(*plain, strict=True)]
    print(f"| {pair} | {controller} | {NOTHING} | {' | '.join(cells)} |")
    for beginning in BEGINNINGS[controller][1:]:
        gains = [
            [more - less for more, less in zip(found.best[str(beginning)], before, strict=True)]
            for found, before in zip(each, plain, strict=True)
        ]
        cells = [
            "{:+.3f} ± {:.3f}".format(*mean_and_half(column)) for column in zip(*gains, strict=True)
        ]
        print(f"| {pair} | {controller} | {beginning} | {' | '.join(cells)} |", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=30, help="searches per controller and pair")
    parser.add_argument("--pair", action="append", help="only this one (may be repeated)")
    parser.add_argument(
        "--controller", action="append", choices=[*BEGINNINGS], help="only this one"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--kept", type=Path, help="JSONL file to resume from")
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    if "MOBILE_NAS_BENCH" not in os.environ:
        print("MOBILE_NAS_BENCH is not set: synthetic tables only")
    names = given.pair or list(pairs())
    for name in names:
        if name not in pairs():
            raise SystemExit(f"unknown pair {name}: choose from {'; '.join(pairs())}")
    titles = " | ".join(f"N={budget}" for budget in BUDGETS)
    print(f"| pair | controller | begins with | {titles} |\n|---|---|---{'|---' * len(BUDGETS)}|")
    for pair in names:
        for controller in given.controller or BEGINNINGS:
            tasks = [Task(pair, controller, seed) for seed in range(given.seeds)]
            found = solve_all(tasks, solve, Found, kept=given.kept, jobs=given.jobs)
            report(pair, controller, [found[task] for task in tasks])


if __name__ == "__main__":
    main()
