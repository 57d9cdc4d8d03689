"""What a search passes around: jobs to train, their outcomes, and the trials of the log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np

from latency import Latency
from nas.data.image_files.unreadable import UnreadableError
from search_spaces import ArchSpec, Tokens, count

Kind = str
"""`search` is a candidate's proxy training; `rung` a shorter one before it, compared with rungs alone;
`final` a finalist's longer one; `repeat` a proxy training once more with another seed, which shows how much
of the difference between candidates is noise. NetAdapt's: `proposal` is a proposal's fine-tuning, `scratch`
and `finetune` the last network's training from scratch or on from its weights; those of a network that it
is compared with begin with its name: `uniform-scratch`."""

LEAST_S = 0.001
"""Seconds that any training takes: 0 stands for none."""

_SEED_STREAM = {
    "search": 0, "final": 1, "repeat": 2, "proposal": 3, "scratch": 4, "finetune": 5, "rung": 6
}  # fmt: skip


def trial_seed(run_seed: int, index: int, kind: Kind = "search") -> int:
    """The seed of one trial: a function of the run's seed and the trial's index alone.

    >>> trial_seed(0, 1) == trial_seed(0, 1), trial_seed(0, 1) == trial_seed(0, 2)
    (True, False)
    """
    sequence = np.random.SeedSequence(run_seed, spawn_key=(_SEED_STREAM[kind], index))
    return int(sequence.generate_state(1)[0])


@dataclass(frozen=True)
class Job:
    """A network to train: what a worker gets.

    `latency` is that on the first device, None if it could not be measured; `other_latencies` are those on
    the other devices, in their order.
    """

    index: int
    kind: Kind
    batch: int
    tokens: Tokens
    spec: ArchSpec
    seed: int
    latency: Latency | None
    other_latencies: tuple[Latency, ...] = field(default=(), kw_only=True)

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """On each device; empty if it could not be measured."""
        return _together(self.latency, self.other_latencies)


@dataclass(frozen=True)
class Outcome:
    """What a worker gives back.

    Attributes:
        accuracy: Top-1 on held-out images, 0..1; None if the training failed.
        error: Why it failed; None if it did not.
        train_s: Seconds that training and evaluation took; 0 leaves them to be timed from outside.
        weights: Of a finalist: its state dict, serialized by `torch.save`.
        px: Side of the images that the accuracy is of, where the evaluator tells.
        stops: Whether the failure is the images', so that every other training would fail of it too: the
            run stops, and this outcome is not kept.
    """

    accuracy: float | None
    error: str | None = None
    train_s: float = 0.0
    weights: bytes | None = field(default=None, repr=False)
    px: int | None = None
    stops: bool = False


Evaluate = Callable[[Job], Outcome]
"""Trains a job's network and tells its accuracy. Called in worker processes, so it must be picklable."""


def attempt(evaluate: Evaluate, job: Job) -> Outcome:
    """Evaluate a job; an exception is the outcome of a failed trial, named with its type.

    One candidate that does not train must not end a search; a mistake in `evaluate` itself fails
    every trial of a batch, and that does.
    """
    began_s = time.monotonic()
    try:
        outcome = evaluate(job)
    except UnreadableError as error:
        outcome = Outcome(None, str(error), stops=True)
    except Exception as error:  # noqa: BLE001  whatever a network may raise, out of memory included
        lines = str(error).strip().splitlines() or [""]
        outcome = Outcome(None, f"{type(error).__name__}: {lines[0]}")
    if not isinstance(outcome, Outcome):
        outcome = Outcome(None, f"evaluate gave {type(outcome).__name__} back, not an Outcome")
    took_s = outcome.train_s or time.monotonic() - began_s
    return replace(outcome, train_s=max(took_s, LEAST_S))


@dataclass(frozen=True)
class Trial:
    """A finished trial: one line of the run log.

    Attributes:
        index: Position in the order asked, from 0. Of finals and repeats: the trial's that they train.
        kind: See `Kind`.
        batch: Number of the batch that it was asked in.
        tokens: The controller's choices.
        fingerprint: Of the network.
        seed: Of its weights, data order and augmentation.
        accuracy: Top-1 on held-out images, 0..1; None if failed.
        latency: On the first device; None if it could not be measured.
        other_latencies: On the other devices, in their order.
        reward: What the controller is told. 0 if failed: then it is told the lowest reward so far, if that
            is below 0. Of a rung what it is ranked by in its batch.
        params: Trainable parameters.
        madds: Multiply-adds at the deploy resolution.
        error: Why it failed, or None.
        time: Readings of clocks, the only part that differs between two runs of one seed.
        px: Side of the images that the accuracy is of; None where the evaluator does not tell.
    """

    index: int
    kind: Kind
    batch: int
    tokens: Tokens
    fingerprint: str
    seed: int
    accuracy: float | None
    latency: Latency | None
    other_latencies: tuple[Latency, ...] = field(default=(), kw_only=True)
    reward: float
    params: int
    madds: int
    error: str | None
    time: dict[str, float | str]
    px: int | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, job: Job, outcome: Outcome, *, reward: float) -> Self:
        """The trial that a job's outcome is, finished now."""
        cost = count(job.spec)
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(
            index=job.index,
            kind=job.kind,
            batch=job.batch,
            tokens=job.tokens,
            fingerprint=job.spec.fingerprint,
            seed=job.seed,
            accuracy=outcome.accuracy,
            latency=job.latency,
            other_latencies=job.other_latencies,
            reward=reward,
            params=cost.params,
            madds=cost.madds,
            error=outcome.error,
            time={"train_s": round(outcome.train_s, 3), "finished": finished},
            px=outcome.px,
        )

    @property
    def ok(self) -> bool:
        """Whether it was measured and trained."""
        return self.error is None

    @property
    def train_s(self) -> float:
        """Seconds of training; 0 where another trial's outcome was taken."""
        return float(self.time["train_s"])

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """On each device; empty if it was not measured."""
        return _together(self.latency, self.other_latencies)

    @property
    def latency_ms(self) -> float:
        """The median latency on the first device; infinite if it was not measured."""
        return self.latency.median_ms if self.latency else float("inf")

    @property
    def latencies_ms(self) -> tuple[float, ...]:
        """The median latency on each device."""
        return tuple(latency.median_ms for latency in self.latencies)

    @property
    def overall_ms(self) -> float:
        """Geometric mean over the devices, by which the soft reward ranks; infinite if not measured."""
        every = self.latencies_ms
        return math.prod(every) ** (1 / len(every)) if every else float("inf")

    def within(self, targets_ms: Sequence[float]) -> bool:
        """Whether it was measured, and is within the target of every device."""
        return self.latency is not None and all(
            ms <= target_ms for ms, target_ms in zip(self.latencies_ms, targets_ms, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the log; with one device it says nothing of others."""
        data = asdict(self)
        for name in ("other_latencies", "px"):
            if not data[name]:
                del data[name]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The trial that `to_dict` gave.

        Raises:
            KeyError: A key is missing.
            TypeError: A key is unknown.
        """
        latency = Latency.from_dict(data["latency"]) if data["latency"] else None
        others = tuple(Latency.from_dict(other) for other in data.get("other_latencies", ()))
        tokens = tuple(data["tokens"])
        return cls(**{**data, "tokens": tokens, "latency": latency, "other_latencies": others})


def _together(first: Latency | None, others: tuple[Latency, ...]) -> tuple[Latency, ...]:
    return () if first is None else (first, *others)
