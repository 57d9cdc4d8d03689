"""Time some steps of `nas.training.train`, and read the memory that they took."""

from __future__ import annotations

import argparse
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from torch import nn

from nas.data.images import Dataset
from nas.training.progress import Progress
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher
from nas.training.train import train

MOST_STEPS = 99
"""A longer training does not report every step."""


@dataclass(frozen=True)
class Steps:
    """What is timed: steps of one batch size, after others that pay for set-up."""

    warm_up: int
    timed: int
    batch_size: int
    threads: int

    @classmethod
    def of(cls, parser: argparse.ArgumentParser, given: argparse.Namespace) -> Self:
        """Read the options of `add_options`."""
        if min(given.warm_up, given.steps) < 1 or given.warm_up + given.steps > MOST_STEPS:
            parser.error(
                f"--warm-up and --steps must be at least 1, and at most {MOST_STEPS} together"
            )
        if min(given.rounds, given.batch_size - 1, given.threads) < 1:
            parser.error("--rounds and --threads must be at least 1, and --batch-size at least 2")
        return cls(given.warm_up, given.steps, given.batch_size, given.threads)

    @property
    def total(self) -> int:
        return self.warm_up + self.timed

    def images_per_s(self, seconds: float) -> float:
        return self.timed * self.batch_size / seconds


class Measured(Exception):  # noqa: N818  it ends a training that has nothing wrong
    """Ends a training after the last timed step."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resolution", type=int, default=96, help="px")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warm-up", type=int, default=3, help="steps that are not timed")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a round")
    parser.add_argument("--rounds", type=int, default=5)


def own_images_per_s(
    module: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    steps: Steps,
    *,
    teacher: Teacher | None = None,
) -> float:
    """Train for `steps`; the recipe's length, batch size and threads are replaced."""
    ended: dict[int, float] = {}

    def report(progress: Progress) -> None:
        ended[progress.step] = time.perf_counter()
        if progress.step == steps.total:
            raise Measured

    length = {"epochs": None, "steps": steps.total + 1}
    size = {"batch_size": steps.batch_size, "threads": steps.threads}
    with suppress(Measured):
        train(
            module,
            dataset,
            recipe.model_copy(update=length | size),
            seed=0,
            teacher=teacher,
            on_progress=report,
        )
    return steps.images_per_s(ended[steps.total] - ended[steps.warm_up])


def peak_mib() -> float:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
