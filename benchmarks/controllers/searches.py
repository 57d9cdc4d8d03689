"""Searches of a table by a controller or peer, with a kept file to resume from.

Controllers receive noisy readings and are judged by true values. A sequence asked for twice counts twice.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path

import torch

from benchmarks.controllers import kept_searches
from benchmarks.controllers.controller_tables import MakeTable, Table, tables
from benchmarks.controllers.peers import Peer, make_peer
from controllers import CONTROLLERS, Tokens
from controllers.surrogate import fit

MOST_TRIALS = 200
CHOSEN = (50, 100)  # where a search's own choice is reported too


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        tokens: The sequence.
        true: Its true value.
        reading: The value told to the controller.
        overhead_s: CPU seconds of the controller until this trial's batch had been told.
    """

    tokens: Tokens
    true: float
    reading: float
    overhead_s: float = 0.0


@dataclass(frozen=True)
class Task:
    """One search."""

    table: str
    controller: str
    seed: int
    batch: int
    trials: int = MOST_TRIALS


@dataclass(frozen=True)
class Found:
    """Result of a search.

    Attributes:
        curve: Best true value after each trial.
        chosen: For a noisy table and each of `CHOSEN`: true value of the trial with the best reading, and
            of the one with the best estimate.
        overhead_s: CPU seconds of asking and telling after each trial; empty in files of older versions.
    """

    curve: list[float]
    chosen: list[tuple[float, float]]
    overhead_s: list[float] = field(default_factory=list)


def search(
    name: str, table: Table, *, seed: int, batch: int, trials: int = MOST_TRIALS
) -> list[Trial]:
    """Run one search."""
    controller = make_peer(name, table.arities, seed=seed)
    return played(controller, table, seed=seed, batch=batch, trials=trials)


def played(controller: Peer, table: Table, *, seed: int, batch: int, trials: int) -> list[Trial]:
    """Ask a controller for networks, and tell it their readings."""
    luck = random.Random(f"noise {seed}")
    done: list[Trial] = []
    overhead_s = 0.0
    while len(done) < trials:
        start = time.process_time()
        asked = controller.ask(min(batch, trials - len(done)))
        overhead_s += time.process_time() - start
        true = [table.value(tokens) for tokens in asked]
        readings = [value + luck.gauss(0.0, table.noise) for value in true]
        start = time.process_time()
        controller.tell(list(zip(asked, readings, strict=True)))
        overhead_s += time.process_time() - start
        done += [Trial(*t, overhead_s) for t in zip(asked, true, readings, strict=True)]
    return done


def curve(trials: Sequence[Trial]) -> list[float]:
    """Return the best true value after each trial."""
    return list(accumulate((trial.true for trial in trials), max))


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
    ends = [n for n in CHOSEN if n <= task.trials] if table.noise else []
    choices = [chosen(trials[:n], table.arities) for n in ends]
    return Found(curve(trials), choices, [trial.overhead_s for trial in trials])


def read_kept(kept: Path) -> dict[Task, Found]:
    """Read finished searches; those of older versions have no overhead, and 200 trials."""
    return kept_searches.read_kept(kept, Task, Found)


def solve_all(tasks: Sequence[Task], *, kept: Path | None, jobs: int) -> dict[Task, Found]:
    """Run the searches missing in `kept`, and append each when it ends."""
    return kept_searches.solve_all(tasks, solve, Found, kept=kept, jobs=jobs)


def by_controller(found: dict[Task, Found], tasks: Sequence[Task]) -> dict[str, list[Found]]:
    """Return the searches by controller, in the order of their seeds."""
    names = dict.fromkeys(task.controller for task in tasks)
    return {name: [found[t] for t in tasks if t.controller == name] for name in names}


def tasks_of(
    name: str,
    *,
    seeds: Sequence[int],
    batch: int,
    trials: int = MOST_TRIALS,
    controllers: Sequence[str] = tuple(CONTROLLERS),
) -> Iterator[Task]:
    """Yield every controller's searches of a table."""
    for controller in controllers:
        for seed in seeds:
            yield Task(name, controller, seed, batch, trials)
