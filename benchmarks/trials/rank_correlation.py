"""Rank correlation of cheap trials with long trainings, by kind of trial.

    python -m benchmarks.trials.rank_correlation --trial 1.5 5 --long 25
    python -m benchmarks.trials.rank_correlation --data FOLDER --resolution 64 --networks 20 --batch-size 64
        --trial 2.5 2.5:warm 2.5:small 1.25:warm --long 10 --seeds 1

A trial is a number of epochs, optionally with a colon and modifiers: `warm` starts from the weights of the
most similar of some trained networks, `small` halves the batch size and doubles the steps, `averaged`
evaluates the mean of the last weights, `common` uses the same random numbers for every network; they can be
combined, as in `5:warm,averaged`.

Networks drawn uniformly from the MnasNet space are trained in each way with one or more seeds, and with
two others for the long training. Trials are evaluated on held-out images, as in a search; long trainings
on test images, so that the two share no sampling noise. Reported for each way: Kendall's tau-b between its
accuracy and the mean of the long trainings', for one seed and for the mean of all, with a 95% bootstrap
interval over networks; the standard deviation between networks and between seeds; and CPU seconds relative
to a long training. The last rows compare one long training, on either images, with the other. For warm
trials also the correlation of (accuracy minus the long training's, in ranks) with the similarity to the
source network: positive values favour its relatives.

Trainings are appended to a JSONL file; a second start resumes.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, astuple, dataclass, replace
from functools import cache
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from controllers import make_controller
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.torch_files import state_of
from nas.checkpoints.usage import Usage
from nas.data.images import Dataset
from nas.data.load import load_dataset
from nas.engine.job import Job, trial_seed
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.searching.from_scratch.warm_start import WarmStart
from nas.training.evaluate import evaluate
from nas.training.recipe import Augment, Recipe
from search_spaces import ArchSpec, SearchSpace, Tokens, load_space
from search_spaces.network import build

LONG_SEEDS = (100, 101)  # none of the trials'
RESAMPLES = 2000
HOW = ("warm", "small", "averaged", "common")
MOST_SOURCES = 4  # networks trained to begin warm trials with
AVERAGED = 0.25  # part of the steps, the last


@dataclass(frozen=True)
class Way:
    """A kind of trial: length and modifiers."""

    epochs: float
    how: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Way":
        """Parse `5` or `5:warm,averaged`."""
        epochs, _, how = text.partition(":")
        names = tuple(sorted(filter(None, how.split(","))))
        if unknown := set(names) - set(HOW):
            raise argparse.ArgumentTypeError(
                f"{unknown.pop()!r} is not known: choose from {', '.join(HOW)}"
            )
        return cls(float(epochs), names)

    def __str__(self) -> str:
        return ", ".join([f"{self.epochs:g} epochs", *self.how])


@dataclass(frozen=True)
class Task:
    """One training."""

    network: int
    way: Way
    seed: int


@dataclass(frozen=True)
class Setting:
    """Settings shared by all processes."""

    source: str
    resolution_px: int | None
    pad_fraction: float
    learning_rate: float
    batch_size: int
    networks: int
    sources: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """The recipe of a training, except for its length."""
        return Recipe(
            augment=Augment(pad_fraction=self.pad_fraction),
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
        )


@cache
def dataset(setting: Setting) -> Dataset:
    """Load the images, once per process."""
    return load_dataset(setting.source, resolution_px=setting.resolution_px)


@cache
def space(setting: Setting) -> SearchSpace:
    """Load the space, for the data's classes."""
    return load_space("mnasnet", resolution=224, classes=len(dataset(setting).classes))


@cache
def tokens(setting: Setting) -> list[Tokens]:
    """Return the networks; those after the first `networks` are the sources of warm trials."""
    return make_controller("uniform", space(setting).arities, seed=0).ask(
        setting.networks + MOST_SOURCES
    )


@cache
def warm(setting: Setting) -> WarmStart:
    """Return the warm start of warm trials."""
    seeds = [load_checkpoint(Path(path)) for path in setting.sources]
    return WarmStart.of(space(setting), seeds, classes=len(dataset(setting).classes))


def training(way: Way, setting: Setting) -> ProxyTraining:
    """Return how a trial is trained."""
    recipe = setting.recipe.model_copy(
        update={
            "epochs": way.epochs,
            "average_fraction": AVERAGED if "averaged" in way.how else 0.0,
            "batch_size": setting.batch_size // (2 if "small" in way.how else 1),
        }
    )
    start = warm(setting) if "warm" in way.how else None
    images = dataset(setting)
    return ProxyTraining(images, images, recipe, final_factor=1.0, warm_start=start)


def job_of(task: Task, setting: Setting, *, kind: str = "search") -> Job:
    """Make a worker's job."""
    chosen = tokens(setting)[task.network]
    shared = 0 if "common" in task.way.how else task.network
    return Job(
        index=task.network,
        kind=kind,
        batch=0,
        tokens=chosen,
        spec=space(setting).decode(chosen),
        seed=trial_seed(task.seed, shared),
    )


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        val: Top-1 on the held-out images, 0..1; 0 if it failed.
        test: Top-1 on the test images; 0 for a trial.
        cpu_s: CPU seconds, without evaluation on test images.
    """

    val: float
    test: float
    cpu_s: float


def train(task: Task, setting: Setting) -> Trained:
    """Train a network in its own process."""
    is_long = task.seed in LONG_SEEDS
    trial, job = (
        training(task.way, setting),
        job_of(task, setting, kind="final" if is_long else "search"),
    )
    begin_s = time.process_time()
    outcome = trial(job)
    cpu_s = time.process_time() - begin_s
    test = _tested(job.spec, outcome.weights, setting) if is_long and outcome.weights else 0.0
    return Trained(outcome.accuracy or 0.0, test, cpu_s)


def _tested(spec: ArchSpec, weights: bytes, setting: Setting) -> float:
    data = dataset(setting)
    network = build(replace(spec, resolution=data.resolution_px))
    network.load_state_dict(state_of(weights))
    return evaluate(network, data.test, mean=data.mean, std=data.std).accuracy


def train_source(network: int, way: Way, setting: Setting, path: Path) -> None:
    """Train a network and save its weights as a seed file."""
    if path.exists():
        return
    job = job_of(Task(network, way, 0), setting, kind="final")
    outcome = training(way, setting)(job)
    assert outcome.weights is not None, outcome.error
    data = dataset(setting)
    usage = Usage(data.classes, data.resolution_px, data.mean, data.std)
    path.write_bytes(checkpoint_bytes(Checkpoint(job.spec, state_of(outcome.weights), usage)))


def train_all(
    tasks: Sequence[Task], setting: Setting, *, kept: Path, jobs: int
) -> dict[Task, Trained]:
    """Run the trainings missing in `kept`, network by network."""
    done: dict[Task, Trained] = {}
    if kept.exists():
        for line in kept.read_text().splitlines():
            entry = json.loads(line)
            way = Way(entry["epochs"], tuple(entry["how"]))
            task = Task(entry["network"], way, entry["seed"])
            done[task] = Trained(entry["val"], entry["test"], entry["cpu_s"])
    missing = sorted(set(tasks) - set(done), key=lambda task: (task.network, -task.way.epochs))
    begin = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool, kept.open("a") as log:
        running = {pool.submit(train, task, setting): task for task in missing}
        for count, future in enumerate(as_completed(running), start=1):
            task = running[future]
            done[task] = future.result()
            entry = {"network": task.network, **asdict(task.way), "seed": task.seed}
            log.write(json.dumps(entry | asdict(done[task])) + "\n")
            log.flush()
            spent = time.monotonic() - begin
            print(
                f"{count} of {len(missing)}, {spent:.0f} s: network {task.network}, {task.way}, seed "
                f"{task.seed}: {done[task].val:.4f}",
                flush=True,
            )
    return done


Values = NDArray[np.float64]


def tau(trials: Values, longs: Values) -> str:
    """Return Kendall's tau-b with its 95% interval."""
    luck = np.random.default_rng(0)
    resampled = []
    for _ in range(RESAMPLES):
        chosen = luck.integers(len(longs), size=len(longs))
        value = kendalltau(trials[chosen], longs[chosen]).statistic
        if not np.isnan(value):
            resampled.append(value)
    if not resampled:  # all trials alike
        return "none"
    low, high = np.quantile(resampled, [0.025, 0.975])
    return f"{kendalltau(trials, longs).statistic:.2f} ({low:.2f} to {high:.2f})"


def favour(trials: Values, longs: Values, setting: Setting) -> str:
    """Correlate trials' advantage over long trainings with the similarity to their source."""
    likeness = [
        max(
            sum(a == b for a, b in zip(mine, theirs, strict=True))
            for theirs in warm(setting).tokens
        )
        for mine in tokens(setting)[: setting.networks]
    ]
    return tau(rankdata(trials) - rankdata(longs), np.array(likeness, dtype=float))


def report(
    done: dict[Task, Trained], *, setting: Setting, ways: Sequence[Way], seeds: int, long: Way
) -> None:
    """Print the table: one row per way, and the long training."""

    def figures(way: Way, seeds: Sequence[int]) -> tuple[Values, Values, float]:
        """Return points on val and test, both (networks, seeds), and CPU seconds."""
        each = [[done[Task(n, way, seed)] for seed in seeds] for n in range(setting.networks)]
        val, test, cpu_s = np.array([[astuple(t) for t in row] for row in each]).transpose(2, 0, 1)
        return 100 * val, 100 * test, float(cpu_s.mean())

    def spread(points: Values) -> str:
        between = f"{points.max():.1f}% | {points.mean(axis=1).std(ddof=1):.2f}"
        if points.shape[1] == 1:
            return f"{between} | "
        return f"{between} | {np.sqrt(points.var(axis=1, ddof=1).mean()):.2f}"

    val, test, long_s = figures(long, LONG_SEEDS)
    print(
        "\n| trial | CPU seconds | cost | tau, one seed | tau, mean of all | best | between networks "
        "| between seeds | favours relatives |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    target = test.mean(axis=1)
    for way in ways:
        points, _, seconds = figures(way, range(seeds))
        mean = points.mean(axis=1)
        favours = favour(mean, target, setting) if "warm" in way.how else ""
        together = tau(mean, target) if seeds > 1 else ""
        print(
            f"| {way} | {seconds:.1f} | {seconds / long_s:.0%} | {tau(points[:, 0], target)} "
            f"| {together} | {spread(points)} | {favours} |"
        )
    print(
        f"| {long}, held out | {long_s:.1f} | 100% | {tau(val[:, 0], test[:, 1])} | | {spread(val)} | |\n"
        f"| {long}, test | {long_s:.1f} | 100% | {tau(test[:, 0], test[:, 1])} | | {spread(test)} | |"
    )


def setting_parser(
    description: str | None, *, learning_rate: float, batch_size: int, networks: int
) -> argparse.ArgumentParser:
    """Make a parser of the options of a `Setting`; see `setting_of`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist-subset")
    parser.add_argument("--resolution", type=int, help="side in pixels; default the data's own")
    parser.add_argument("--pad", type=float, default=0.0625, help="shift augmentation")
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--networks", type=int, default=networks)
    return parser


def setting_of(given: argparse.Namespace) -> Setting:
    """Make a `Setting` from the options of `setting_parser`."""
    return Setting(
        source=given.data,
        resolution_px=given.resolution,
        pad_fraction=given.pad,
        learning_rate=given.learning_rate,
        batch_size=given.batch_size,
        networks=given.networks,
    )


def parse_arguments() -> argparse.Namespace:
    parser = setting_parser(
        __doc__,
        learning_rate=Recipe().learning_rate,
        batch_size=Recipe().batch_size,
        networks=12,
    )
    parser.add_argument(
        "--trial", type=Way.parse, nargs="+", default=[Way(1.5), Way(5.0)], help="EPOCHS[:HOW,HOW]"
    )
    parser.add_argument("--long", type=float, default=25.0, help="epochs")
    parser.add_argument(
        "--sources",
        type=int,
        default=2,
        choices=range(1, MOST_SOURCES + 1),
        help="trained networks for warm trials",
    )
    parser.add_argument("--seeds", type=int, default=2, help="of each kind of trial")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--kept", type=Path, default=Path("runs/rank_correlation.jsonl"))
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    setting = setting_of(given)
    long = Way(given.long)
    if any("warm" in way.how for way in given.trial):
        places = range(given.networks, given.networks + given.sources)
        paths = [given.kept.with_suffix(f".{place}.pt") for place in places]
        print(f"training {len(paths)} networks to begin with", flush=True)
        with ProcessPoolExecutor(given.jobs) as pool:
            list(pool.map(train_source, places, repeat(long), repeat(setting), paths))
        setting = replace(setting, sources=tuple(map(str, paths)))
    tasks = [Task(n, long, seed) for n in range(given.networks) for seed in LONG_SEEDS]
    tasks += [
        Task(n, way, seed)
        for n in range(given.networks)
        for way in given.trial
        for seed in range(given.seeds)
    ]
    done = train_all(tasks, setting, kept=given.kept, jobs=given.jobs)
    report(done, setting=setting, ways=given.trial, seeds=given.seeds, long=long)


if __name__ == "__main__":
    main()
