"""The gain of telling a search which token sequences are aliases of one network.

    python -m benchmarks.controllers.aliases

Many sequences of MnasNet's space are aliases: a block without layers has no kernel, and a skip has no
effect where a stage narrows. Here each network has a true value (the synthetic `block_network` of
`controller_tables.py` at its canonical sequence) and one noisy reading shared by all its aliases: as in a
search, no network is trained twice. A controller is asked until a number of networks have been trained, or
ten times as many sequences proposed. Reported for each way: sequences proposed, networks trained, and the
true value of the best of the first N networks; means over seeds with 95% intervals.
"""

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import torch

from benchmarks.controllers.compare_controllers import interval
from benchmarks.controllers.controller_tables import block_network
from benchmarks.controllers.latency_warmup import options
from controllers import CanMergeAliases, Tokens, make_controller
from search_spaces import SearchSpace, load_space

BUDGETS = (50, 100, 200)
MOST_ASKED = 10  # sequences a network of the budget
BATCH = 10
NOISES = (0.0, 0.5)


@dataclass(frozen=True)
class Way:
    """A controller, and whether it knows the aliases."""

    controller: str
    merged: bool = False

    def __str__(self) -> str:
        return self.controller + (", aliases merged" if self.merged else "")


WAYS = (Way("uniform"), Way("evolution"), Way("rnn"), Way("screened"), Way("screened", merged=True))


@dataclass(frozen=True)
class Task:
    """One search."""

    way: Way
    noise: float
    seed: int


@cache
def space() -> SearchSpace:
    return load_space("mnasnet")


@cache
def canonical(tokens: Tokens) -> Tokens:
    """Return the first of the aliases of a network."""
    return space().encode(space().decode(tokens))


def solve(task: Task) -> list[float]:
    """Return sequences proposed, networks trained, and the best of the first N of these for each N."""
    torch.set_num_threads(1)
    table = block_network(task.seed)
    controller = make_controller(task.way.controller, space().arities, seed=task.seed)
    if task.way.merged:
        assert isinstance(controller, CanMergeAliases)
        controller.merge_aliases(canonical)
    readings: dict[Tokens, float] = {}
    asked = 0
    while len(readings) < max(BUDGETS) and asked < MOST_ASKED * max(BUDGETS):
        batch = controller.ask(BATCH)
        asked += len(batch)
        for tokens in batch:
            network = canonical(tokens)
            luck = random.Random(f"{task.seed} {network}").gauss(0.0, task.noise)
            readings.setdefault(network, table.value(network) + luck)
        controller.tell([(tokens, readings[canonical(tokens)]) for tokens in batch])
    worth = [table.value(network) for network in readings]
    return [float(asked), float(len(worth)), *(max(worth[:n]) for n in BUDGETS)]


def main() -> None:
    given = options(__doc__, seeds=20, measured=False)
    titles = ["asked", "trained", *(f"N={n}" for n in BUDGETS)]
    print("| noise | controller | " + " | ".join(titles) + " |")
    print("|---" * (2 + len(titles)) + "|")
    with ProcessPoolExecutor(given.jobs) as pool:
        for noise in NOISES:
            for way in WAYS:
                tasks = [Task(way, noise, seed) for seed in range(given.seeds)]
                columns = zip(*pool.map(solve, tasks), strict=True)
                print(f"| {noise:g} | {way} | {' | '.join(map(interval, columns))} |", flush=True)


if __name__ == "__main__":
    main()
