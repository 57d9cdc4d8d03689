"""Fine-tune networks as a search from a parent does, in several processes, each training once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks.trainings import Trained, run_all
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.torch_files import state_of
from nas.data.images import Split
from nas.engine.job import Job
from nas.searching.from_parent.parent import Parent
from nas.searching.from_parent.training import Heritage, SubNetworkTraining
from nas.training.evaluate import evidence
from nas.training.recipe import Recipe
from netadapt.channel_selection import channel_order
from search_spaces import ArchSpec, count
from search_spaces.network import build

READING_STEPS = 10
"""Training steps that take about as long as reading a network's accuracy."""

FIRST_SEED = 1000
"""Seed of the first training of each network; the run's own trainings have others."""


@dataclass(frozen=True)
class Task:
    """One training of a network.

    Attributes:
        name: Name of the network in the progress.
        spec: The network.
        seed: Random seed of order, augmentation and dropout.
        recipe: Training recipe; None takes batch norm's statistics anew and trains nothing.
        inherits: From which parent: that of finalists, or that of trials.
        start: A checkpoint with the network's own weights, in place of the parent's.
        trunk: A state dict of that parent, trained further for all of its sub-networks.
        teacher: Whether the parent is its teacher.
        tests: Whether to evaluate it on the test images too.
    """

    name: str
    spec: ArchSpec
    seed: int
    recipe: Recipe | None
    inherits: Literal["finals", "trials"] = "finals"
    start: Path | None = None
    trunk: Path | None = None
    teacher: bool = True
    tests: bool = True

    @property
    def key(self) -> str:
        """A digest of all that the result depends on, except for the run."""
        parts = {
            "network": self.spec.fingerprint,
            "seed": self.seed,
            "recipe": self.recipe and self.recipe.model_dump(mode="json"),
            "inherits": self.inherits,
            "start": self.start and hashlib.sha256(self.start.read_bytes()).hexdigest(),
            "teacher": self.teacher,
            "tests": self.tests,
        }
        if self.trunk is not None:
            parts["trunk"] = hashlib.sha256(self.trunk.read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def train_all(
    tasks: Sequence[Task], training: SubNetworkTraining, *, log: Path, workers: int
) -> list[Trained]:
    """Run the trainings that are missing in a log; return the result of each.

    Args:
        tasks: The trainings, in the order in which they start.
        training: How the run trains its networks.
        log: JSONL file to which each result is appended.
        workers: Number of processes.
    """
    train, work = partial(trained, training=training), partial(_work, training=training)
    return run_all(tasks, train, work, log=log, workers=workers)


def _work(task: Task, training: SubNetworkTraining) -> float:
    """Return how long a training takes, in arbitrary units: for the time left only."""
    images = training.finals.images[task.spec.resolution]
    steps = task.recipe.total_steps(len(images.train)) if task.recipe is not None else 0
    return (steps + READING_STEPS) * count(task.spec).madds


def _heritage(task: Task, training: SubNetworkTraining) -> Heritage:
    """Return what a network begins with and learns from."""
    begins = training.trials if task.inherits == "trials" else training.finals
    if task.start is not None:
        begins = with_own_weights(load_checkpoint(task.start), begins)
    if task.trunk is not None:
        weights = state_of(task.trunk.read_bytes())
        begins = replace(begins, parent=replace(begins.parent, weights=weights))
    return begins if task.teacher else replace(begins, teacher=None)


def with_own_weights(own: Checkpoint, begins: Heritage) -> Heritage:
    """Return a heritage in which a network inherits all of its own weights, on images normalized for it."""
    px, usage = own.spec.resolution, own.usage
    images = {px: replace(begins.images[px], mean=usage.mean, std=usage.std)}
    order = channel_order(own.spec, own.weights)
    return replace(begins, parent=Parent(own.spec, own.weights, order), images=images)


def _with_held_out(begins: Heritage, held_out: Split, *, px: int) -> Heritage:
    """Return a heritage whose networks are read on these images."""
    return replace(begins, images={px: replace(begins.images[px], val=held_out)})


def trained(task: Task, training: SubNetworkTraining) -> Trained:
    """Train a network of a run, and evaluate it."""
    begins = _heritage(task, training)
    held_out = training.finals.images[task.spec.resolution]
    own = replace(
        training,
        trials=begins,
        finals=begins,
        rung=None,
        final_recipe=task.recipe or training.final_recipe,
    )
    kind = "rung" if task.recipe is None else "final"
    job = Job(index=0, kind=kind, batch=0, tokens=(), spec=task.spec, seed=task.seed)
    began_s = time.process_time()
    outcome = own(job)
    cpu_s = time.process_time() - began_s
    if outcome.accuracy is None:
        return Trained(None, error=outcome.error)
    if outcome.weights is None:
        alone = _with_held_out(begins, held_out.val, px=task.spec.resolution)
        return Trained(outcome.accuracy, replace(own, trials=alone)(job).accuracy, cpu_s=cpu_s)
    network, data = build(task.spec), begins.images[task.spec.resolution]
    network.load_state_dict(state_of(outcome.weights))
    network.eval()
    look = partial(evidence, network, mean=data.mean, std=data.std, task=data.task)
    result = Trained(outcome.accuracy, look(held_out.val).score().accuracy, cpu_s=cpu_s)
    return replace(result, evidence=look(data.test)) if task.tests else result
