"""The result of a comparison: its figures, its table, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, Self

from benchmarks.trainings import Trained
from nas.comparing.latencies import Read
from nas.comparing.paired import BySeed, Difference, accuracies
from nas.comparing.tables import difference_cell, mean_cell
from nas.formatting import counted, percent, three_digits
from nas.statistics.confidence_intervals import mean_with_interval
from search_spaces import ArchSpec, InputError, count

Kind = Literal["search", "width", "resolution", "netadapt", "torch-pruning", "random", "file"]


@dataclass(frozen=True)
class Contestant:
    """A network that is compared.

    Attributes:
        kind: Where it comes from.
        name: What it is called.
        spec: The network.
        start: A checkpoint with weights of its own; None inherits the parent's.
    """

    kind: Kind
    name: str
    spec: ArchSpec
    start: Path | None = None


@dataclass(frozen=True)
class Parent:
    """The parent, and what the networks are compared at.

    Attributes:
        spec: The network.
        latencies: On each device.
        test: Its metric on the test images, 0..1, as the search fine-tuned it.
        images: Number of test images.
        metric: What the metric is called.
        devices: Their names.
        targets_ms: The target on each device.
        targets_of_parent: The same relative to the parent's latency.
    """

    spec: ArchSpec
    latencies: tuple[Read, ...]
    test: float
    images: int
    metric: str
    devices: tuple[str, ...]
    targets_ms: tuple[float, ...]
    targets_of_parent: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """A network's figures.

    Attributes:
        kind: Where it comes from.
        name: What it is called.
        px: Side of its input.
        madds: Multiply-adds.
        latencies: On each device.
        held_out: Metric on the held-out images in percent, mean over the seeds; None if every training
            failed.
        evidence: What it did on the test images, by seed.
        failures: Reasons of failed trainings.
    """

    kind: Kind
    name: str
    px: int
    madds: int
    latencies: tuple[Read, ...]
    held_out: float | None
    evidence: BySeed
    failures: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, network: Contestant, latencies: Sequence[Read], by_seed: Mapping[int, Trained]
    ) -> Self:
        """Gather a network's figures from its trainings."""
        good = {seed: one for seed, one in by_seed.items() if one.reading is not None}
        return cls(
            network.kind,
            network.name,
            network.spec.resolution,
            count(network.spec).madds,
            tuple(latencies),
            100 * fmean(one.reading or 0.0 for one in good.values()) if good else None,
            {seed: one.evidence for seed, one in good.items() if one.evidence is not None},
            tuple(one.error or "" for one in by_seed.values() if one.reading is None),
        )


@dataclass(frozen=True)
class Comparison:
    """A network that a search has found, and its rivals.

    Attributes:
        run: Name of the run.
        parent: The parent.
        rows: The networks, ours first.
        best: Place in `rows` of the rival with the highest mean on the held-out images.
    """

    run: str
    parent: Parent
    rows: tuple[Row, ...]
    best: int

    @classmethod
    def of(cls, run: str, parent: Parent, rows: Sequence[Row]) -> Self:
        """Find the best rival.

        Raises:
            InputError: All trainings of the search's network or of all rivals failed.
        """
        rivals = [place for place, row in enumerate(rows) if place and row.held_out is not None]
        if rows[0].held_out is None or not rivals:
            reasons = [reason for row in rows for reason in row.failures]
            raise InputError(f"nothing to compare: {(reasons or ['there are no rivals'])[0]}")
        return cls(
            run, parent, tuple(rows), max(rivals, key=lambda place: rows[place].held_out or 0.0)
        )

    @property
    def best_rival(self) -> Row:
        """The rival with the highest mean on the held-out images."""
        return self.rows[self.best]

    def minus_best(self, row: Row) -> Difference | None:
        """Return the difference from the best rival; None for that itself, or without a common seed."""
        best = self.best_rival
        if row is best or not set(row.evidence) & set(best.evidence):
            return None
        return Difference.of(row.evidence, best.evidence)

    def markdown(self) -> str:
        """Return the headline, the table, and what its intervals cover."""
        ours, parent = self.rows[0], self.parent
        titles = ["network", "px", "MAdds, M"]
        for place in range(len(parent.devices)):
            titles += ["ms", "of the parent's"] if place == 0 else ["ms there", "of the parent's"]
        titles += ["seeds", f"test {parent.metric}", "minus the best rival"]
        own = ["the parent", str(parent.spec.resolution), f"{count(parent.spec).madds / 1e6:.0f}"]
        own += [*_latency_cells(parent.latencies), "", percent(parent.test), ""]
        lines = [_headline(ours, self), "", _line(titles), "|---" * len(titles) + "|"]
        lines += [_line(own), *(_line(self._cells(row)) for row in self.rows), "", self._note()]
        return "\n".join(lines) + "\n"

    def _cells(self, row: Row) -> list[str]:
        name = f"**{row.name}**" if row.kind == "search" else row.name
        cells = [name, str(row.px), f"{row.madds / 1e6:.0f}", *_latency_cells(row.latencies)]
        values = accuracies(row.evidence)
        difference = self.minus_best(row)
        best = "the best rival" if row is self.best_rival else ""
        return [
            *cells,
            str(len(values)),
            mean_cell(values),
            best if difference is None else difference_cell(difference),
        ]

    def _note(self) -> str:
        parent = self.parent
        targets = " and ".join(
            f"{three_digits(ms)} ms, {100 * share:.1f}% of the parent's latency"
            for ms, share in zip(parent.targets_ms, parent.targets_of_parent, strict=True)
        )
        failed = [f"{row.name}: {row.failures[0]}" for row in self.rows if row.failures]
        lost = f" Failed trainings are left out ({'; '.join(failed)})." if failed else ""
        devices = " and ".join(parent.devices)
        return (
            f"Run {self.run}; target {targets}; {devices}. Test {parent.metric}: mean over seeds on "
            f"{parent.images:,} test images ± 95% interval (Student's t). Differences are in points, "
            "paired by seed: a seed sets the order of the images and their augmentation, alike for all "
            "networks. The first interval is Student's t over the seeds: it covers the randomness of "
            "these trainings alone. The one in brackets is over the test images, the mean of those "
            "of each seed. Neither covers the search, which ran once, or other training images. The best "
            "rival is that with the highest mean on the held-out images. The parent was fine-tuned once "
            f"and is not trained further.{lost}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the contents of `compare.json`."""
        parent = asdict(self.parent) | {
            "spec": self.parent.spec.fingerprint,
            "px": self.parent.spec.resolution,
            "madds": count(self.parent.spec).madds,
        }
        networks = []
        for row in self.rows:
            values = accuracies(row.evidence)
            mean, half = mean_with_interval(values) if values else (None, None)
            difference = self.minus_best(row)
            networks.append(
                {
                    "kind": row.kind,
                    "name": row.name,
                    "px": row.px,
                    "madds": row.madds,
                    "latencies": [read.to_dict() for read in row.latencies],
                    "seeds": sorted(row.evidence),
                    "test_percent": values,
                    "mean_percent": mean,
                    "half_interval_points": half,
                    "held_out_percent": row.held_out,
                    "minus_best_rival": difference and asdict(difference),
                    "failures": list(row.failures),
                }
            )
        return {
            "run": self.run,
            "parent": parent,
            "best_rival": self.best_rival.name,
            "networks": networks,
        }


def _latency_cells(latencies: Sequence[Read]) -> list[str]:
    """Return milliseconds and the ratio to the parent, for each device."""
    cells = []
    for read in latencies:
        low, high = (100 * end for end in read.of_first_ci95)
        mark = " (unstable)" if read.problems else ""
        span = f" ({low:.1f} to {high:.1f})" if low < high else ""
        cells += [f"{three_digits(read.ms)}{mark}", f"{100 * read.of_first:.1f}%{span}"]
    return cells


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _headline(ours: Row, comparison: Comparison) -> str:
    difference = comparison.minus_best(ours)
    if difference is None:
        return f"{ours.name} and {comparison.best_rival.name} have no seed in common."
    return (
        f"{ours.name} minus {comparison.best_rival.name}: {difference_cell(difference)} points, "
        f"{counted(difference.seeds, 'seed')}."
    )


def read_comparisons(run: Path) -> list[dict[str, Any]]:
    """Read the comparisons of a run: of its best finalist, and of those given by `--trial`.

    Raises:
        InputError: There is none.
    """
    folder = run / "compare"
    paths = [folder / "compare.json", *sorted(folder.glob("trial-*/compare.json"))]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    if not found:
        raise InputError(
            f"{run} has no comparison: make it by python -m benchmarks.from_parent.compare {run}"
        )
    return found
