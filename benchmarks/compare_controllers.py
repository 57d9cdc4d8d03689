"""Controllers compared on NAS-Bench-Macro: the best network found after N evaluations.

    MOBILE_NAS_BENCH=FOLDER python benchmarks/compare_controllers.py     # FOLDER holds macro/*.json

NAS-Bench-Macro (Su et al. 2021, github.com/xiusu/NAS-Bench-Macro) holds all 3^8 choices of eight
MobileNetV2 layers, each trained on CIFAR-10 three times. Controllers are told the mean accuracy in
percent, or with --noisy one of the three at random; the best found is always judged by the mean.
A network evaluated twice counts twice.
"""

import argparse
import json
import os
import random
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

from controllers import CONTROLLERS, Tokens, make_controller

TABLE = Path("macro") / "nas-bench-macro_cifar10.json"
ARITIES = (3,) * 8
BUDGETS = (100, 200)
MNASNET_ARITIES = (4, 2, 2, 3, 3, 3) * 7


@dataclass(frozen=True)
class Accuracies:
    """CIFAR-10 accuracy of one network in percent, over its three trainings."""

    mean: float
    runs: tuple[float, ...]


def read_table(folder: Path) -> dict[Tokens, Accuracies]:
    entries = json.loads((folder / TABLE).read_text())
    return {
        tuple(int(digit) for digit in layers): Accuracies(
            mean=entry["mean_acc"], runs=tuple(entry["test_acc"])
        )
        for layers, entry in entries.items()
    }


def best_so_far(
    seed: int, *, name: str, table: dict[Tokens, Accuracies], batch: int, noisy: bool
) -> list[float]:
    """Best mean accuracy in percent after each budget, of one search."""
    luck = random.Random(f"noise {seed}")
    controller = make_controller(name, ARITIES, seed=seed)
    found: list[float] = []
    while len(found) < max(BUDGETS):
        asked = controller.ask(min(batch, max(BUDGETS) - len(found)))
        entries = [table[tokens] for tokens in asked]
        told = [luck.choice(entry.runs) if noisy else entry.mean for entry in entries]
        controller.tell(list(zip(asked, told, strict=True)))
        found += [entry.mean for entry in entries]
    best = list(accumulate(found, max))
    return [best[budget - 1] for budget in BUDGETS]


def interval(values: list[float]) -> str:
    """Mean and its 95% interval (normal approximation)."""
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.3f} ± {half:.3f}"


def seconds_for(trials: int, *, batch: int) -> float:
    """What the controller itself costs in a search of MnasNet's length and space."""
    controller = make_controller("rnn", MNASNET_ARITIES, seed=0)
    start = time.perf_counter()
    for _ in range(trials // batch):
        controller.tell([(tokens, sum(tokens) / 100) for tokens in controller.ask(batch)])
    return time.perf_counter() - start


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50, help="searches per controller")
    parser.add_argument("--batch", type=int, default=10, help="evaluations per ask")
    parser.add_argument("--noisy", action="store_true", help="tell one training, not the mean")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    folder = os.environ.get("MOBILE_NAS_BENCH")
    if folder is None:
        raise SystemExit("MOBILE_NAS_BENCH is not set: give the folder that holds macro/")
    table = read_table(Path(folder))
    print(f"Best mean accuracy, %, over {arguments.seeds} seeds, batch {arguments.batch}")
    print(f"(table's best {max(entry.mean for entry in table.values()):.3f})\n")
    print("| controller | " + " | ".join(f"N = {budget}" for budget in BUDGETS) + " |")
    print("|---" * (1 + len(BUDGETS)) + "|")
    for name in CONTROLLERS:
        search = partial(
            best_so_far, name=name, table=table, batch=arguments.batch, noisy=arguments.noisy
        )
        if arguments.jobs > 1:
            with ProcessPoolExecutor(arguments.jobs) as pool:
                rows = list(pool.map(search, range(arguments.seeds)))
        else:
            rows = [search(seed) for seed in range(arguments.seeds)]
        columns = [interval(list(column)) for column in zip(*rows, strict=True)]
        print(f"| {name} | " + " | ".join(columns) + " |", flush=True)
    seconds = seconds_for(8000, batch=arguments.batch)
    print(f"\nrnn, 8,000 trials of {len(MNASNET_ARITIES)} decisions: {seconds:.1f} s")


if __name__ == "__main__":
    main()
