"""How well a proxy's order of networks is that of a training five times as long.

    python -m benchmarks.rank_correlation --proxy 1.5 5 --long 25
    python -m benchmarks.rank_correlation --data FOLDER --resolution 64 --proxy 4 12 --long 60

Twelve networks drawn uniformly from the MnasNet space train for each proxy length with two seeds and once
for the long one. For each length: Kendall's tau-b between its accuracy and the long training's, one seed
and the mean of two, with a 95% bootstrap interval over networks; the standard deviation between networks
and between seeds; and what one training costs, as a part of the long one. With twelve networks the
interval is wide.

Trainings are kept in a file of JSON lines as they end; a second start goes on where the first stopped.
"""

import argparse
import json
import os
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from controllers import make_controller
from nas.proxy import ProxyTraining
from nas.training.load import load_dataset
from nas.training.recipe import Augment, Recipe
from nas.trial import Job, trial_seed
from search_spaces import SearchSpace, load_space

SEEDS = 2
RESAMPLES = 2000


@dataclass(frozen=True)
class Task:
    """One training: which network, how long, and which seed."""

    network: int
    epochs: float
    seed: int


@dataclass(frozen=True)
class Images:
    """What to train on, as every process loads it once."""

    source: str
    resolution_px: int | None
    pad_fraction: float


@cache
def proxy(images: Images, epochs: float) -> ProxyTraining:
    """The proxy training of a length."""
    dataset = load_dataset(images.source, resolution_px=images.resolution_px)
    augment = Augment(pad_fraction=images.pad_fraction)
    return ProxyTraining(dataset, Recipe(epochs=epochs, augment=augment))


def space_for(images: Images) -> SearchSpace:
    """The space, for the data's classes."""
    classes = len(proxy(images, 1.0).dataset.classes)
    return load_space("mnasnet", resolution=224, classes=classes)


def accuracy(task: Task, images: Images, networks: int) -> float:
    """Top-1 on val, 0..1; a training that failed scores 0."""
    space = space_for(images)
    tokens = make_controller("uniform", space.arities, seed=0).ask(networks)[task.network]
    job = Job(
        index=task.network,
        kind="search",
        batch=0,
        tokens=tokens,
        spec=space.decode(tokens),
        seed=trial_seed(task.seed, task.network),
        latency=None,
    )
    return proxy(images, task.epochs)(job).accuracy or 0.0


def train_all(
    tasks: list[Task], images: Images, *, networks: int, kept: Path, jobs: int
) -> dict[Task, float]:
    """Train what `kept` does not hold yet, network by network."""
    done: dict[Task, float] = {}
    if kept.exists():
        for line in kept.read_text().splitlines():
            entry = json.loads(line)
            done[Task(**entry["task"])] = entry["accuracy"]
    missing = sorted(set(tasks) - set(done), key=lambda task: (task.network, -task.epochs))
    with ProcessPoolExecutor(jobs) as pool, kept.open("a") as log:
        running = {pool.submit(accuracy, task, images, networks): task for task in missing}
        for count, future in enumerate(as_completed(running), start=1):
            task = running[future]
            done[task] = future.result()
            log.write(json.dumps({"task": asdict(task), "accuracy": done[task]}) + "\n")
            log.flush()
            print(f"{count} of {len(missing)}: {task} {done[task]:.4f}", flush=True)
    return done


def tau(proxies: np.ndarray, longs: np.ndarray) -> str:
    """Kendall's tau-b with its 95% interval."""
    luck = np.random.default_rng(0)
    resampled = []
    for _ in range(RESAMPLES):
        chosen = luck.integers(len(longs), size=len(longs))
        value = kendalltau(proxies[chosen], longs[chosen]).statistic
        if not np.isnan(value):
            resampled.append(value)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return f"{kendalltau(proxies, longs).statistic:.2f} ({low:.2f} to {high:.2f})"


def report(done: dict[Task, float], *, networks: int, lengths: list[float], long: float) -> None:
    """Print the table: a row a proxy length, and the long training."""
    longs = np.array([done[Task(network, long, 0)] for network in range(networks)])
    print(
        "\n| epochs | cost | tau, one seed | tau, mean of two | best | between networks | between seeds |"
    )
    print("|---|---|---|---|---|---|---|")
    for epochs in sorted(lengths):
        points = 100 * np.array(
            [[done[Task(n, epochs, seed)] for seed in range(SEEDS)] for n in range(networks)]
        )
        seeds = np.sqrt(np.mean([statistics.variance(row) for row in points]))
        print(
            f"| {epochs:g} | {epochs / long:.0%} | {tau(points[:, 0], longs)} "
            f"| {tau(points.mean(axis=1), longs)} | {points.max():.1f}% "
            f"| {points[:, 0].std(ddof=1):.2f} | {seeds:.2f} |"
        )
    print(f"| {long:g} | 100% | | | {100 * longs.max():.1f}% | {100 * longs.std(ddof=1):.2f} | |")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist-subset")
    parser.add_argument("--resolution", type=int, help="side in pixels; default the data's own")
    parser.add_argument("--pad", type=float, default=0.0625, help="shift augmentation")
    parser.add_argument("--proxy", type=float, nargs="+", default=[1.5, 5.0], help="epochs")
    parser.add_argument("--long", type=float, default=25.0, help="epochs")
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--kept", type=Path, default=Path("runs/rank_correlation.jsonl"))
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    images = Images(given.data, given.resolution, given.pad)
    tasks = [Task(network, given.long, 0) for network in range(given.networks)]
    tasks += [
        Task(network, epochs, seed)
        for network in range(given.networks)
        for epochs in given.proxy
        for seed in range(SEEDS)
    ]
    done = train_all(tasks, images, networks=given.networks, kept=given.kept, jobs=given.jobs)
    report(done, networks=given.networks, lengths=given.proxy, long=given.long)


if __name__ == "__main__":
    main()
