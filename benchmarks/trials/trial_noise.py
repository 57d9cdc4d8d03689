"""Noise of a trial's accuracy, and how to reduce it per second: noise variance times CPU seconds.

    python -m benchmarks.trials.trial_noise
    python -m benchmarks.trials.trial_noise --data FOLDER --px 64 --epochs 12
        --kept runs/trial_noise_photos.jsonl

Networks drawn uniformly from the MnasNet space are trained with several seeds each, in three ways:

    own      each network has its own seeds of weights, data order and augmentation
    order    own seed of the weights; all networks share that of order and augmentation
    same     all networks share one seed

Averages of the last weights (`recipe.average_fraction`) are taken alongside a training, without changing
it. Held-out images are evaluated in ten parts, to compare halves with all. For the columns see
`noise_components`.

Trainings are appended to a JSONL file; a second start resumes.
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.trials.noise_components import Readings, Variant, rows, show
from controllers import make_controller
from nas.data.images import ArraySplit, Dataset
from nas.data.load import load_dataset
from nas.engine.job import trial_seed
from nas.training.evaluate import evaluate
from nas.training.optimization.averaging import MeanWeights, statistics_inputs
from nas.training.recipe import Augment, Recipe
from nas.training.train import Diverged, train
from search_spaces import load_space
from search_spaces.network import build

WAYS = ("own", "order", "same")
PARTS = 10
PLAIN = 0.0
COMMON = 10**6
"""Index of the seeds that all networks share."""


@dataclass(frozen=True)
class Setting:
    """Settings shared by all trainings of a table."""

    data: str
    px: int | None
    epochs: float | None
    steps: int | None
    pad_fraction: float

    @property
    def recipe(self) -> Recipe:
        """The recipe of a trial, with at least the steps of the standard preset."""
        least = 200 if self.steps is None else None
        augment = Augment(pad_fraction=self.pad_fraction)
        return Recipe(
            epochs=self.epochs, steps=self.steps, min_steps=least, augment=augment, threads=1
        )


@dataclass(frozen=True)
class Task:
    """One training."""

    network: int
    seed: int
    way: str

    @property
    def seeds(self) -> tuple[int, int]:
        """Return the seeds of the weights, and of order, augmentation and dropout."""
        own, common = trial_seed(self.seed, self.network), trial_seed(self.seed, COMMON)
        return (common if self.way == "same" else own), (own if self.way == "own" else common)


@cache
def images(data: str, px: int | None) -> tuple[Dataset, list[ArraySplit]]:
    """Load the data set, with its held-out images in stratified parts."""
    dataset = load_dataset(data, resolution_px=px)
    batches = [(some.numpy(), labels.numpy()) for some, labels in dataset.val.batches(256)]
    pixels, labels = (np.concatenate(kind) for kind in zip(*batches, strict=True))
    order = np.argsort(labels, kind="stable")
    parts = [order[part::PARTS] for part in range(PARTS)]
    return dataset, [ArraySplit(pixels[chosen], labels[chosen]) for chosen in parts]


class Averages:
    """Averages of several lengths, updated after each step; counts the CPU seconds of each."""

    def __init__(self, network: torch.nn.Module, first_steps: dict[float, int]) -> None:
        self.network, self.first_steps = network, first_steps
        self.means: dict[float, MeanWeights] = {}
        self.spent_s = dict.fromkeys(first_steps, 0.0)
        self.step = 0

    def __call__(self, *_: object) -> None:
        self.step += 1
        for fraction, first in self.first_steps.items():
            begin = time.process_time()
            if self.step == first:
                self.means[fraction] = MeanWeights(self.network)
            elif self.step > first:
                self.means[fraction].add(self.network)
            self.spent_s[fraction] += time.process_time() - begin


def measure(task: Task, setting: Setting, fractions: list[float], networks: int) -> dict[str, Any]:
    """Train, and evaluate each average on each part: percent, and CPU seconds of an equivalent trial."""
    torch.set_num_threads(1)
    dataset, parts = images(setting.data, setting.px)
    recipe, cpu = setting.recipe, torch.device("cpu")
    space = load_space("mnasnet", resolution=224, classes=len(dataset.classes))
    tokens = make_controller("uniform", space.arities, seed=0).ask(networks)[task.network]
    weights_seed, seed = task.seeds
    spec = replace(space.decode(tokens), resolution=dataset.resolution_px)
    network = build(spec, generator=torch.Generator().manual_seed(weights_seed))
    averages = Averages(network, _first_steps(recipe, fractions, len(dataset.train)))
    hook = register_optimizer_step_post_hook(averages)
    begin = time.process_time()
    try:
        train(network, dataset, recipe, seed=seed)
    except Diverged as error:
        return {"error": str(error)}
    finally:
        hook.remove()
    train_s = time.process_time() - begin - sum(averages.spent_s.values())

    def read(module: torch.nn.Module) -> list[float]:
        mean, std = dataset.mean, dataset.std
        return [100 * evaluate(module, part, mean=mean, std=std).accuracy for part in parts]

    begin = time.process_time()
    points = {str(PLAIN): read(network)}
    evaluation_s = time.process_time() - begin
    cpu_s = {str(PLAIN): train_s}
    for fraction, mean in averages.means.items():
        begin = time.process_time()
        inputs = statistics_inputs(dataset, recipe, seed=seed, device=cpu)
        averaged = mean.network(inputs, device=cpu)
        spent_s = averages.spent_s[fraction] + time.process_time() - begin
        points[str(fraction)], cpu_s[str(fraction)] = read(averaged), train_s + spent_s
    return {"points": points, "cpu_s": cpu_s, "evaluation_s": evaluation_s}


def _first_steps(recipe: Recipe, fractions: list[float], images: int) -> dict[float, int]:
    """Return the first step of each average."""
    total = recipe.total_steps(images)
    lengths = {
        fraction: recipe.model_copy(update={"average_fraction": fraction}).averaged_steps(total)
        for fraction in fractions
    }
    return {fraction: total - length + 1 for fraction, length in lengths.items() if length}


def train_all(
    tasks: list[Task], setting: Setting, fractions: list[float], *, kept: Path, jobs: int
) -> dict[Task, dict[str, Any]]:
    """Run the trainings missing in `kept`, network by network."""
    done: dict[Task, dict[str, Any]] = {}
    for line in kept.read_text().splitlines() if kept.exists() else []:
        entry = json.loads(line)
        known = entry["result"].get("points", map(str, [PLAIN, *fractions]))
        if entry["setting"] == asdict(setting) and {*map(str, fractions)} <= {*known}:
            done[Task(**entry["task"])] = entry["result"]
    missing = [task for task in tasks if task not in done]
    networks = 1 + max(task.network for task in tasks)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs) as pool, kept.open("a") as log:
        running = {
            pool.submit(measure, task, setting, fractions, networks): task for task in missing
        }
        for count, future in enumerate(as_completed(running), start=1):
            task = running[future]
            done[task] = future.result()
            entry = {"setting": asdict(setting), "task": asdict(task), "result": done[task]}
            log.write(json.dumps(entry) + "\n")
            log.flush()
            print(f"{count} of {len(missing)}: {task}", flush=True)
    return done


def variants(done: dict[Task, dict[str, Any]], fractions: list[float]) -> list[Variant]:
    """Return the trainings as tables, plain ones with own seeds first; diverged networks are left out."""
    failed = {task.network for task, result in done.items() if "error" in result}
    for network in sorted(failed):
        print(f"network {network} is left out: a training of it diverged")
    networks = sorted({task.network for task in done} - failed)
    seeds = sorted({task.seed for task in done})
    ways = [way for way in WAYS if any(task.way == way for task in done)]

    def table(way: str, key: str, fraction: float | None = None) -> Readings:
        found = [[done[Task(n, seed, way)][key] for seed in seeds] for n in networks]
        if fraction is not None:
            found = [[one[str(fraction)] for one in row] for row in found]
        return np.array(found)

    variants = []
    for way in ways:
        for fraction in (PLAIN, *fractions):
            name = f"{way}, last {fraction:.0%} averaged" if fraction else f"{way}, plain"
            points, cpu_s = table(way, "points", fraction), table(way, "cpu_s", fraction)
            variants.append(Variant(name, points, cpu_s, common=way != "own"))
    plain = variants[0]
    half_s = plain.cpu_s - table(ways[0], "evaluation_s") / 2
    name = f"{ways[0]}, half of the held-out"
    half = Variant(name, plain.points[..., ::2], half_s, common=plain.common)
    return [plain, half, *variants[1:]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist-subset")
    parser.add_argument("--px", type=int, help="side in pixels; default the data's own")
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=4)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=float, help="default 5, but no fewer than 200 steps")
    length.add_argument("--steps", type=int)
    parser.add_argument("--pad", type=float, default=0.0625, help="shift augmentation")
    parser.add_argument("--fractions", type=float, nargs="*", default=[0.05, 0.1, 0.2, 0.4])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--kept", type=Path, default=Path("runs/trial_noise.jsonl"))
    parser.add_argument("--json", type=Path, help="file for the table; default beside --kept")
    given = parser.parse_args()
    if given.networks < 2 or given.seeds < 2:
        parser.error("variances need at least 2 networks and 2 seeds")
    return given


def main() -> None:
    given = parse_arguments()
    epochs = 5.0 if given.steps is None and given.epochs is None else given.epochs
    setting = Setting(given.data, given.px, epochs, given.steps, given.pad)
    ways = [way for way in WAYS if way in given.ways]
    tasks = [
        Task(network, seed, way)
        for network in range(given.networks)
        for seed in range(given.seeds)
        for way in ways
    ]
    done = train_all(tasks, setting, given.fractions, kept=given.kept, jobs=given.jobs)
    table = rows(variants({task: done[task] for task in tasks}, given.fractions))
    show(table)
    path = given.json or given.kept.with_suffix(".json")
    document = {"setting": asdict(setting), "networks": given.networks, "seeds": given.seeds}
    path.write_text(json.dumps(document | {"rows": table}, indent=1) + "\n")
    print(f"\nthe table as JSON: {path}")


if __name__ == "__main__":
    main()
