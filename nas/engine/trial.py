"""Finished trials: the lines of a run's log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from latency import Latency
from nas.atomic_files import read_lines
from nas.engine.job import Job, Key, Kind, Outcome
from search_spaces import Tokens, count


@dataclass(frozen=True)
class Trial:
    """A finished trial: one line of the run's log.

    Attributes:
        index: Position in the order asked, from 0. Of finals and repeats: that of the trial trained again.
        kind: See `nas.engine.job.Kind`.
        batch: Number of the batch that it was asked in.
        tokens: The controller's choices.
        fingerprint: The network's fingerprint.
        seed: Seed of its weights, data order and augmentation.
        accuracy: Top-1 on held-out images, 0..1; None if failed.
        latencies: On each device; empty if they could not be measured.
        reward: What the controller learns. 0 if failed: the controller then learns the lowest reward so
            far, if that is below 0. Of a rung: what it is ranked by in its batch.
        params: Trainable parameters.
        madds: Multiply-adds at the deployed size.
        error: Why it failed, or None.
        time: Readings of clocks, the only part that differs between two runs of one seed.
        px: Side of the images that the accuracy was read on; None if the evaluator does not say.
        read: The accuracy as it was read, if `accuracy` was adjusted to compare with other trials.
    """

    index: int
    kind: Kind
    batch: int
    tokens: Tokens
    fingerprint: str
    seed: int
    accuracy: float | None
    latencies: tuple[Latency, ...]
    reward: float
    params: int
    madds: int
    error: str | None
    time: dict[str, float | str]
    px: int | None = field(default=None, kw_only=True)
    read: float | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, job: Job, outcome: Outcome, *, reward: float) -> Self:
        """Return the trial of a job that has finished now."""
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
            latencies=job.latencies,
            reward=reward,
            params=cost.params,
            madds=cost.madds,
            error=outcome.error,
            time={"train_s": round(outcome.train_s, 3), "finished": finished},
            px=outcome.px,
            read=None if outcome.read == outcome.accuracy else outcome.read,
        )

    @property
    def key(self) -> Key:
        """What it is known by in its run."""
        return self.kind, self.index

    @property
    def ok(self) -> bool:
        """Whether it was measured and trained: it has an accuracy, and no error."""
        return self.error is None and self.accuracy is not None

    @property
    def train_s(self) -> float:
        """Seconds of training; 0 where another trial's outcome was reused."""
        return float(self.time["train_s"])

    @property
    def latency(self) -> Latency | None:
        """On the first device; None if it was not measured."""
        return self.latencies[0] if self.latencies else None

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
        """Whether it was measured, and meets the target of every device."""
        return bool(self.latencies) and all(
            ms <= target_ms for ms, target_ms in zip(self.latencies_ms, targets_ms, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the log: `other_latencies`, `px` and `read` only where there are any."""
        every = [latency.to_dict() for latency in self.latencies]
        data: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "latencies":
                data["latency"] = every[0] if every else None
                if len(every) > 1:
                    data["other_latencies"] = every[1:]
            elif name not in ("px", "read") or value is not None:
                data[name] = value
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the trial that `to_dict` gave.

        Raises:
            KeyError: A key is missing.
            TypeError: A key is unknown.
        """
        rest = dict(data)
        first, others = rest.pop("latency"), rest.pop("other_latencies", ())
        every = [first, *others] if first else []
        latencies = tuple(Latency.from_dict(latency) for latency in every)
        return cls(**{**rest, "tokens": tuple(data["tokens"]), "latencies": latencies})


def read_trials(path: Path) -> list[Trial]:
    """The trials of a log, which another process may be writing: see `nas.atomic_files.read_lines`."""
    return read_lines(path, Trial.from_dict)


def read_finished(path: Path) -> list[Trial]:
    """Return all finished trials of a log, those that wait for their turn included."""
    ahead = read_trials(path.with_suffix(".ahead.jsonl"))
    return list({trial.key: trial for trial in [*read_trials(path), *ahead]}.values())
