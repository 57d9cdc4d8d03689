"""Fine-tune networks as a search from a parent does, in several processes, each training once.

A finished training is appended to a JSONL file, under a key of all that it depends on, and not repeated.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.atomic_files import cut_torn_line, read_lines
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.torch_files import state_of
from nas.data.images import Split
from nas.engine.job import Job
from nas.formatting import duration, percent
from nas.searching.from_parent.parent import Parent
from nas.searching.from_parent.training import Heritage, SubNetworkTraining
from nas.tasks.classification import Answers as Classified
from nas.training.evaluate import evaluate, evidence
from nas.training.recipe import Recipe
from netadapt.channel_selection import channel_order
from search_spaces import ArchSpec, count
from search_spaces.network import build

Answers = NDArray[np.bool_]
"""Whether each test image is classified correctly, (images,)."""

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


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        reading: Top-1 accuracy on all images that it is ranked on, 0..1: those held out, and in a trial
            those set aside too. None if the training failed.
        held_out: Top-1 accuracy on the held-out images alone.
        answers: Whether each test image is classified correctly, packed bits in hexadecimal digits; empty
            without a test.
        images: Number of test images.
        cpu_s: CPU seconds of the training and the reading.
        error: Why the training failed.
    """

    reading: float | None
    held_out: float | None = None
    answers: str = ""
    images: int = 0
    cpu_s: float = 0.0
    error: str | None = None

    @property
    def correct(self) -> Answers:
        """Whether each test image is classified correctly, (images,)."""
        packed = np.frombuffer(bytes.fromhex(self.answers), np.uint8)
        return np.unpackbits(packed, count=self.images).astype(bool)

    @property
    def test(self) -> float:
        """Top-1 accuracy on the test images, 0..1."""
        return float(self.correct.mean())

    def __str__(self) -> str:
        if self.reading is None:
            return f"failed: {self.error}"
        tested = f", {percent(self.test)} of the test images" if self.images else ""
        return f"{percent(self.reading)} held out{tested}"


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
    cut_torn_line(log)
    done = dict(read_lines(log, lambda line: (line["task"], Trained(**line["result"]))))
    keys = [task.key for task in tasks]
    missing = {key: task for key, task in zip(keys, tasks, strict=True) if key not in done}
    if done and missing:
        print(f"{len(keys) - len(missing)} of {len(keys)} trainings are in {log}", flush=True)
    work = {key: _work(task, training) for key, task in missing.items()}
    began_s, worked = time.monotonic(), 0.0
    with log.open("a") as file:
        for number, (key, result) in enumerate(_results(missing, training, workers), start=1):
            done[key] = result
            line = {"task": key, "name": missing[key].name, "result": asdict(result)}
            file.write(json.dumps(line) + "\n")
            file.flush()
            worked += work[key]
            left_s = (time.monotonic() - began_s) * (sum(work.values()) / worked - 1)
            print(
                f"{number} of {len(missing)}, about {duration(left_s)} left: {missing[key].name}: "
                f"{result}",
                flush=True,
            )
    return [done[key] for key in keys]


def _work(task: Task, training: SubNetworkTraining) -> float:
    """Return how long a training takes, in arbitrary units: for the time left only."""
    images = training.finals.images[task.spec.resolution]
    steps = task.recipe.total_steps(len(images.train)) if task.recipe is not None else 0
    return (steps + READING_STEPS) * count(task.spec).madds


def _results(
    tasks: Mapping[str, Task], training: SubNetworkTraining, workers: int
) -> Iterator[tuple[str, Trained]]:
    """Yield each task's key with its result, in the order in which they end."""
    if not tasks:
        return
    # Forked processes would inherit the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_begin, initargs=(training,)
    )
    try:
        running = {pool.submit(_train, task): key for key, task in tasks.items()}
        for future in as_completed(running):
            yield running[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_trainings: dict[str, SubNetworkTraining] = {}
"""How a worker process trains; one entry."""


def _begin(training: SubNetworkTraining) -> None:
    """Keep the images in a worker process, which ends with the main process, also if that is killed."""
    _trainings["run"] = training
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end_too() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_too, daemon=True).start()


def _train(task: Task) -> Trained:
    """Train in a worker process."""
    return trained(task, _trainings["run"])


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
    score = partial(evaluate, network, mean=data.mean, std=data.std)
    result = Trained(outcome.accuracy, score(held_out.val).accuracy, cpu_s=cpu_s)
    if not task.tests:
        return result
    found = evidence(network, data.test, mean=data.mean, std=data.std)
    assert isinstance(found, Classified)
    packed = np.packbits(found.correct).tobytes().hex()
    return replace(result, answers=packed, images=len(found))
