"""Whether the MobileNetV3 paper's findings on detection and segmentation hold on some photos.

    python -m benchmarks.dense.findings clothes/ v2.pt v3s.pt v2-035.pt --px 96 --epochs 12
    python -m benchmarks.dense.findings cards/ v2.pt v3s.pt --px 160 --epochs 40

Each body is a pretrained classifier, and gets several heads: for masks the rows of the paper's table 7,
R-ASPP and LR-ASPP of 256 and 128 filters with and without RF2, for boxes SSDLite with and without the
halved channels of table 6. All are trained by the same recipe, once per seed, and measured in one session,
interleaved. The findings compare two networks each: the metric paired by seed, and the ratio of latencies.

Trainings and latencies are kept in the folder `--out`, and not repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, product
from pathlib import Path

import torch

from benchmarks.trainings import Trained, run_all
from latency import MeasurementError, close, open_device
from nas.atomic_files import read_json, write_whole
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.retrain import fine_tuned
from nas.checkpoints.torch_files import weights_digest
from nas.comparing.latencies import Read, read_together
from nas.comparing.paired import BySeed, Difference, accuracies
from nas.comparing.tables import difference_cell, mean_cell
from nas.data.images import Dataset
from nas.data.load import open_source
from nas.formatting import three_digits
from nas.tasks import task_of
from nas.tasks.heads import headed
from nas.training.evaluate import evidence
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, InputError, count

CLAIMS = {
    "segment": (
        ("raspp-f256", "raspp-rf2-f256", "(1) RF2: much faster, about as good"),
        ("raspp-rf2-f256", "lraspp-rf2-f256", "(2) LR-ASPP: a little faster, better"),
        ("lraspp-rf2-f256", "lraspp-rf2-f128", "(3) 128 filters: faster, a little worse"),
    ),
    "detect": (("ssdlite", "ssdlite-half", "halved channels: faster, as good"),),
}
"""From which head to which, and what the paper says of the second."""

AMONG_BODIES = {"segment": "lraspp-rf2-f128", "detect": "ssdlite-half"}
"""The head with which bodies are compared: findings (4) to (6)."""


@dataclass(frozen=True)
class Training:
    """A training of a body with a head.

    Attributes:
        body: Name of the body.
        start: The body's checkpoint.
        head: Name of the head.
        px: Side of the input.
        recipe: Training recipe.
        seed: Random seed of the new weights, the order and the augmentation.
    """

    body: str
    start: Checkpoint
    head: str
    px: int
    recipe: Recipe
    seed: int

    @property
    def name(self) -> str:
        """Body, head and seed."""
        return f"{self.body}:{self.head}, seed {self.seed}"

    @property
    def key(self) -> str:
        """A digest of all that the result depends on, except for the images."""
        parts = {
            "body": weights_digest(self.start.weights),
            "head": self.head,
            "px": self.px,
            "recipe": self.recipe.model_dump(mode="json"),
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def spec_of(one: Training, data: Dataset) -> ArchSpec:
    """Return the network that is trained."""
    made = headed(one.start.spec, data.task, classes=len(data.classes), head=one.head)
    return replace(made, resolution=one.px)


def trained(one: Training, data: Dataset) -> Trained:
    """Train a network on one thread, and evaluate it."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(one.seed)
    start = one.start.for_task(data.task, data.classes, head=one.head, generator=generator)
    network = fine_tuned(start, data, one.recipe, seed=one.seed).network()
    look = partial(evidence, network, mean=start.usage.mean, std=start.usage.std, task=data.task)
    held_out = look(data.val).score().accuracy
    return Trained(held_out, held_out, look(data.test))


@dataclass(frozen=True)
class Row:
    """A network with its figures."""

    body: str
    head: str
    spec: ArchSpec
    read: Read
    evidence: BySeed

    def cells(self) -> list[str]:
        """Return the cells of the table of networks."""
        cost, values = count(self.spec), accuracies(self.evidence)
        each = ", ".join(f"{value:.1f}" for value in values)
        return [
            f"{self.body}:{self.head}",
            f"{cost.params / 1e6:.2f}",
            f"{cost.madds / 1e6:.0f}",
            three_digits(self.read.ms) + (" (unstable)" if self.read.problems else ""),
            mean_cell(values),
            each,
        ]


def findings(rows: Sequence[Row], task: str) -> Iterator[list[str]]:
    """Yield what was compared, the ratio of the latencies, and the difference of the metrics."""
    named = {(row.body, row.head): row for row in rows}
    bodies = list(dict.fromkeys(row.body for row in rows))
    for before, after, claim in CLAIMS[task]:
        for body in bodies:
            yield _finding(claim, named[body, before], named[body, after])
    for before, after in combinations(bodies, 2):
        head = AMONG_BODIES[task]
        yield _finding("(4) to (6) between bodies", named[before, head], named[after, head])


def _finding(claim: str, before: Row, after: Row) -> list[str]:
    difference = difference_cell(Difference.of(after.evidence, before.evidence))
    names = f"{after.body}:{after.head} after {before.body}:{before.head}"
    return [claim, names, f"{after.read.ms / before.read.ms:.2f}", difference]


def markdown(rows: Sequence[Row], task: str) -> str:
    """Return both tables."""
    metric = task_of(task).metric.name
    titles = ["network", "params, M", "MAdds, M", "ms", f"test {metric}", "of each seed"]
    pairs = ["the paper's finding", "here", "latency", f"test {metric}"]
    lines = [*_head(titles), *(_line(row.cells()) for row in rows), ""]
    lines += [*_head(pairs), *(_line(cells) for cells in findings(rows, task)), ""]
    lines.append(
        "Means over seeds ± 95% interval (Student's t); differences are in points, paired by seed, in "
        "brackets the interval over test images. Latency is a ratio."
    )
    return "\n".join(lines) + "\n"


def _head(titles: Sequence[str]) -> list[str]:
    return [_line(titles), "|---" * len(titles) + "|"]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def reads(specs: Sequence[ArchSpec], device: str, path: Path) -> list[Read]:
    """Return each network's latency, measured once and kept."""
    names = [spec.fingerprint for spec in specs]
    if path.is_file() and (kept := read_json(path))["networks"] == names:
        return [Read.from_dict(one) for one in kept["reads"]]
    print(f"measuring {len(specs)} networks", flush=True)
    source = open_device(device)
    try:
        found = read_together(source, specs)
    finally:
        close(source)
    content = {"networks": names, "reads": [one.to_dict() for one in found]}
    write_whole(path, json.dumps(content, indent=1) + "\n")
    return found


def run(given: argparse.Namespace) -> str:
    """Measure and train what is missing; return the tables.

    Raises:
        InputError: A body or the images cannot be used.
        MeasurementError: The device cannot measure a network.
    """
    images = open_source(given.data)
    if images.task not in CLAIMS:
        raise InputError(f"{given.data} has neither boxes nor masks: give photos that have")
    task = task_of(images.task)
    recipe = read_recipe(task.usual.recipe, {"epochs": given.epochs, "threads": 1})
    data = images.at(given.px, train_px=task.stored_px(recipe, given.px))
    heads = list(dict.fromkeys(head for pair in CLAIMS[images.task] for head in pair[:2]))
    starts = {path.stem: load_checkpoint(path) for path in given.body}
    every = list(product(starts, heads))
    tasks = [
        Training(body, starts[body], head, given.px, recipe, seed)
        for seed in range(given.seeds)
        for body, head in every
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    specs = [spec_of(one, data) for one in tasks[: len(every)]]
    latencies = reads(specs, given.device, given.out / "latencies.json")
    results = run_all(
        tasks,
        partial(trained, data=data),
        lambda one: count(spec_of(one, data)).madds,
        log=given.out / "trainings.jsonl",
        workers=given.workers,
    )
    rows = [
        Row(body, head, specs[place], latencies[place], _by_seed(results[place :: len(every)]))
        for place, (body, head) in enumerate(every)
    ]
    return markdown(rows, images.task)


def _by_seed(results: Sequence[Trained]) -> BySeed:
    return {seed: one.evidence for seed, one in enumerate(results) if one.evidence is not None}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="photos with boxes or masks")
    parser.add_argument("body", type=Path, nargs="+", help="classifiers, as nas import makes them")
    parser.add_argument("--px", type=int, default=96, help="side of the input (96)")
    parser.add_argument("--epochs", type=float, default=12, help="of each training (12)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each network (3)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--device", default="cpu", help="what measures latency (cpu)")
    parser.add_argument("--out", type=Path, default=Path("findings"), help="(findings)")
    given = parser.parse_args()
    try:
        text = run(given)
    except (InputError, MeasurementError) as error:
        raise SystemExit(str(error)) from error
    write_whole(given.out / "findings.md", text)
    print(f"\n{text}\nkept in {given.out / 'findings.md'}")


if __name__ == "__main__":
    main()
