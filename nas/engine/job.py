"""What a plan asks for and what a worker answers: jobs, and their outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from latency import Latency
from nas.data.image_files.unreadable import UnreadableError
from search_spaces import ArchSpec, Tokens, count

Kind = str
"""What a job trains, as the log names it. A search has `search`, a candidate's proxy training; `rung`, a
shorter one before it, compared with rungs alone; `final`, a finalist's longer one; `rival`, that of a
network to compare it with, and `rival-trial` and `rival-rung`, that network's shorter ones; and `repeat`, a
proxy training again with another seed, which shows how noisy accuracies are. NetAdapt has `proposal`, the
fine-tuning of one, and the final trainings of the adapted network, `scratch` and `finetune`; a baseline's
have its name in front: `uniform-scratch` (see `nas.adapting.kinds`)."""

RIVAL, RIVAL_TRIAL, RIVAL_RUNG = "rival", "rival-trial", "rival-rung"
"""Kinds that train a rival of a search: as a finalist, as a trial, and as a rung."""

RIVALS: frozenset[Kind] = frozenset({RIVAL, RIVAL_TRIAL, RIVAL_RUNG})
"""Kinds that train before the first trial of a search."""

Key = tuple[Kind, int]
"""Kind and index: what a job and its trial are known by in their run."""

SHORTEST_S = 0.001
"""Seconds that any training takes: 0 stands for none."""

_SEED_STREAM = {
    "search": 0, "final": 1, "repeat": 2, "proposal": 3, "scratch": 4, "finetune": 5, "rung": 6,
    RIVAL: 7, RIVAL_TRIAL: 8, RIVAL_RUNG: 9,
}  # fmt: skip


def trial_seed(run_seed: int, index: int, kind: Kind = "search") -> int:
    """Return the seed of one trial: a function of the run's seed and the trial's index alone.

    >>> trial_seed(0, 1) == trial_seed(0, 1), trial_seed(0, 1) == trial_seed(0, 2)
    (True, False)
    """
    sequence = np.random.SeedSequence(run_seed, spawn_key=(_SEED_STREAM[kind], index))
    return int(sequence.generate_state(1)[0])


@dataclass(frozen=True)
class Job:
    """A network to train: what a worker gets.

    Attributes:
        index: Position in the order asked, from 0. Of finals and repeats: that of the trial trained again.
        kind: See `Kind`.
        batch: Number of the batch that it is asked in.
        tokens: The controller's choices; empty where no controller chose.
        spec: The network.
        seed: Seed of weights, data order and augmentation.
        latencies: On each device; empty until they are measured.
        length: Training length, in multiples of a trial's.
        problem: Why it cannot be trained; None if it can.
    """

    index: int
    kind: Kind
    batch: int
    tokens: Tokens
    spec: ArchSpec
    seed: int
    latencies: tuple[Latency, ...] = ()
    length: float = field(default=1.0, kw_only=True)
    problem: str | None = field(default=None, kw_only=True)

    @property
    def key(self) -> Key:
        """What it is known by in its run."""
        return self.kind, self.index

    @property
    def fingerprint(self) -> str:
        """The network's fingerprint."""
        return self.spec.fingerprint

    @property
    def latency(self) -> Latency | None:
        """On the first device; None if it is not measured."""
        return self.latencies[0] if self.latencies else None

    @property
    def work(self) -> float:
        """How long it trains, in arbitrary units: for the order of a queue."""
        return self.length * count(self.spec).madds


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Outcome:
    """What a worker gives back.

    Attributes:
        accuracy: Top-1 on held-out images, 0..1; None if the training failed.
        error: Why it failed; None if it did not.
        train_s: Seconds of training and evaluation; 0 leaves them to be timed from outside.
        weights: A state dict, serialized by `torch.save`, where the weights are to be kept.
        px: Side of the images that the accuracy was read on, if the evaluator says.
        read: The accuracy as it was read; None if it is `accuracy`.
        stops: Whether every other training would fail of it too, as when images cannot be read: the run
            stops, and this outcome is not kept.
    """

    accuracy: float | None
    error: str | None = None
    train_s: float = 0.0
    weights: bytes | None = field(default=None, repr=False)
    px: int | None = None
    read: float | None = None
    stops: bool = False


Evaluate = Callable[[J], Outcome]
"""Trains a job's network and returns its accuracy. Called in worker processes, so it must be picklable."""


def attempt(evaluate: Evaluate[J], job: J) -> Outcome:
    """Evaluate a job; an exception becomes the outcome of a failed trial, named with its type.

    One candidate that does not train must not end a search; a mistake in `evaluate` itself fails
    every trial of a batch, and that does.
    """
    began_s = time.monotonic()
    try:
        outcome = _plain(evaluate(job))
    except UnreadableError as error:
        outcome = Outcome(None, str(error), stops=True)
    except Exception as error:  # noqa: BLE001  whatever a network may raise, out of memory included
        outcome = Outcome(None, in_one_line(error))
    took_s = outcome.train_s or time.monotonic() - began_s
    return replace(outcome, train_s=max(took_s, SHORTEST_S))


def _plain(outcome: object) -> Outcome:
    """Return an evaluator's outcome with plain numbers, and with either an accuracy or an error."""
    if not isinstance(outcome, Outcome):
        return Outcome(None, f"evaluate returned {type(outcome).__name__}, not an Outcome")
    accuracy, error = outcome.accuracy, outcome.error
    if accuracy is None and error is None:
        error = "the evaluation gave no accuracy"
    return replace(
        outcome,
        accuracy=None if accuracy is None or error is not None else float(accuracy),
        error=None if error is None else str(error),
        train_s=float(outcome.train_s),
        px=None if outcome.px is None else int(outcome.px),
    )


def in_one_line(error: Exception) -> str:
    """Return an exception's type and the first line of its message.

    >>> in_one_line(ValueError("kernel must be odd"))
    'ValueError: kernel must be odd'
    """
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
