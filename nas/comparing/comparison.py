"""The result of a comparison: each network's figures, and which of two is better beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from nas.comparing.latencies import Read
from nas.comparing.paired import BySeed, Difference, accuracies
from nas.statistics.confidence_intervals import mean_with_interval
from search_spaces import ArchSpec, count


@dataclass(frozen=True)
class Row:
    """A network's figures.

    Attributes:
        name: What it is called.
        spec: The network.
        from_scratch: Whether it was trained from random weights.
        latencies: On each device.
        held_out: The metric on the held-out images, 0..1, by seed.
        evidence: What it does on the test images, by seed.
        rate: Multiple of the recipe's learning rate that it was trained at.
        train_s: Seconds of a training, the mean over its seeds.
        files: Checkpoint of each seed.
        errors: Why trainings failed.
    """

    name: str
    spec: ArchSpec
    from_scratch: bool
    latencies: tuple[Read, ...]
    held_out: Mapping[int, float]
    evidence: BySeed
    rate: float = 1.0
    train_s: float = 0.0
    files: Mapping[int, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()

    @property
    def percent(self) -> list[float]:
        """The metric of each seed on the test images, in percent."""
        return accuracies(self.evidence)

    @property
    def held_out_mean(self) -> float:
        """The mean metric on the held-out images, 0..1; below all others if every training failed."""
        return fmean(self.held_out.values()) if self.held_out else -1.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        cost = count(self.spec)
        mean, half = mean_with_interval(self.percent) if self.evidence else (None, None)
        return {
            "name": self.name,
            "fingerprint": self.spec.fingerprint,
            "px": self.spec.resolution,
            "from_scratch": self.from_scratch,
            "madds": cost.madds,
            "params": cost.params,
            "latencies": [read.to_dict() for read in self.latencies],
            "seeds": sorted(self.evidence),
            "test_percent": self.percent,
            "mean_percent": mean,
            "half_interval_points": half,
            "held_out_percent": [100 * self.held_out[seed] for seed in sorted(self.held_out)],
            "rate": self.rate,
            "train_s": self.train_s,
            "files": [self.files[seed] for seed in sorted(self.files)],
            "errors": list(self.errors),
        }


@dataclass(frozen=True)
class Comparison:
    """Networks that were trained alike, and measured together.

    Attributes:
        rows: The networks; the first is the one that the others are compared with.
        devices: Names of the devices.
        metric: Name of the metric.
        images: Number of test images.
    """

    rows: tuple[Row, ...]
    devices: tuple[str, ...]
    metric: str
    images: int

    @cached_property
    def differences(self) -> tuple[Difference | None, ...]:
        """How much better the first network is than each; None for itself, or without a common seed."""
        first, *others = self.rows
        return (None, *(_difference(first.evidence, other.evidence) for other in others))

    @property
    def best_other(self) -> int | None:
        """Position of the best of the other networks by the held-out images; None without trained ones."""
        trained = [place for place, row in enumerate(self.rows) if place and row.evidence]
        return max(trained, key=lambda place: self.rows[place].held_out_mean, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the contents of `compare.json`."""
        networks = [
            row.to_dict() | {"first_minus_this": difference and asdict(difference)}
            for row, difference in zip(self.rows, self.differences, strict=True)
        ]
        best = self.best_other
        return {
            "metric": self.metric,
            "test_images": self.images,
            "devices": list(self.devices),
            "best_other": None if best is None else self.rows[best].name,
            "networks": networks,
        }


def _difference(ours: BySeed, theirs: BySeed) -> Difference | None:
    return Difference.of(ours, theirs) if set(ours) & set(theirs) else None


def verdict(comparison: Comparison) -> str:
    """Say whether the first network is better than the best of the others, and what would settle it."""
    first, place = comparison.rows[0], comparison.best_other
    if place is None or not first.evidence:
        return _untrained(comparison.rows)
    other, difference = comparison.rows[place], comparison.differences[place]
    if difference is None:
        return f"{first.name} and {other.name} have no seed in common: nothing to compare."
    points, chance = difference.points, difference.by_chance
    slower = _beside(first.latencies, other.latencies)
    figures = f"{points:+.1f} points{_of(comparison.metric)} ({_intervals(difference, comparison)}){slower}"
    unlike = _unlike(first, other)
    if chance is None:
        return (
            f"{first.name} minus {other.name}: {figures}. One seed does not show how much of that is "
            f"chance: give 3 or more.{unlike}"
        )
    if not chance:
        better = "better" if points > 0 else "worse"
        return f"{first.name} is {better} than {other.name}: {figures}.{unlike}"
    settling = _settling(difference, comparison.images)
    both = f"{first.name} and {other.name}"
    return f"No difference beyond chance between {both}: {figures}.{settling}{unlike}"


def _unlike(first: Row, other: Row) -> str:
    """Say so where one of the networks began with trained weights and the other did not."""
    if first.from_scratch == other.from_scratch:
        return ""
    new = first if first.from_scratch else other
    return f" {new.name} was trained from scratch, by another recipe than the other one."


def _untrained(rows: Sequence[Row]) -> str:
    errors = [error for row in rows for error in row.errors]
    return f"Nothing to compare: {errors[0] if errors else 'there is only one network'}."


def _of(metric: str) -> str:
    return "" if metric == "accuracy" else f" of {metric}"


def _intervals(difference: Difference, comparison: Comparison) -> str:
    seeds = "" if difference.over_seeds is None else f"± {difference.over_seeds:.1f} over seeds, "
    return f"95% intervals {seeds}± {difference.over_images:.1f} over {comparison.images:,} test images"


def _beside(ours: Sequence[Read], theirs: Sequence[Read]) -> str:
    """Say how the latencies compare on the first device."""
    if not ours or not theirs:
        return ""
    return f", at {ours[0].of_first / theirs[0].of_first:.2f} of its latency"


def _settling(difference: Difference, images: int) -> str:
    """Say how many seeds and test images would show such a difference; nothing if that is unknown."""
    wanted = difference.settled_by(images=images)
    if wanted is None:
        return ""
    seeds, test_images = wanted
    return f" About {seeds:,} seeds and {test_images:,} test images would show a difference of this size."
