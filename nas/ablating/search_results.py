"""The result of an ablation of searches, and its table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Any, NamedTuple

from nas.ablating.outcome import Outcome
from nas.comparing.tables import mean_cell
from nas.formatting import duration
from nas.statistics.confidence_intervals import mean_with_interval

TITLES = (
    "search", "test {metric}", "difference", "its latency / target", "trials within",
    "trials' latency / target", "best trial", "at equal time", "training time",
)  # fmt: skip

NOTE = (
    "Test {metric}: the best finalist's of each search, by the held-out images; mean over {seeds} ± 95% "
    "interval (Student's t). Difference: minus the first search's with the same random seed, in points; "
    "the interval covers the randomness of searching and training, not that of the test images, and is not "
    "adjusted for the number of searches; finalists above the target count, and are marked. Trials' "
    "latencies: median and quartiles of all seeds. Best trial: the best held-out {metric} of a trial "
    "within the target, after all trials, and after the training time that the quickest search of that "
    "seed needed for its."
)


class Gap(NamedTuple):
    """A difference of two searches in percentage points.

    Attributes:
        points: The mean over the seeds that both have.
        half: Half of its 95% interval; None for one seed.
        seeds: Number of these seeds.
    """

    points: float
    half: float | None
    seeds: int

    @property
    def by_chance(self) -> bool | None:
        """Whether chance may explain it; None for one seed."""
        return None if self.half is None else abs(self.points) <= self.half


@dataclass(frozen=True)
class SearchResults:
    """Searches that differ in one setting.

    Attributes:
        about: What they show.
        outcomes: By the searches' names, by seed; the first search is the one to compare with.
        metric: Name of the metric.
        devices: Names of the devices, with their targets.
    """

    about: str
    outcomes: Mapping[str, Sequence[Outcome]]
    metric: str
    devices: tuple[str, ...]

    def tests(self, name: str) -> dict[int, float]:
        """Return the finalists' metric on the test images in percent, by seed."""
        return {one.seed: 100 * one.test for one in self.outcomes[name] if one.test is not None}

    def gap(self, name: str) -> Gap | None:
        """Return how much better a search is than the first.

        None for the first itself, or if the two have no seed in common.
        """
        first = next(iter(self.outcomes))
        ours, theirs = self.tests(name), self.tests(first)
        both = sorted(ours.keys() & theirs.keys())
        if name == first or not both:
            return None
        return Gap(*mean_with_interval([ours[seed] - theirs[seed] for seed in both]), len(both))

    def best_trials(self, name: str, *, equal_time: bool = False) -> list[float]:
        """Return the best trial within the target of each seed, in percent; seeds without any are left out.

        Args:
            name: The search's.
            equal_time: Whether to stop after the training time of the quickest search of the same seed.
        """
        found = []
        for one in self.outcomes[name]:
            limit = self._least_s(one.seed) if equal_time else None
            if (best := one.best_within(seconds=limit)) is not None:
                found.append(100 * best)
        return found

    def _least_s(self, seed: int) -> float:
        return min(one.train_s for of in self.outcomes.values() for one in of if one.seed == seed)

    def verdict(self) -> str:
        """Say which searches differ from the first."""
        first, *others = self.outcomes
        gaps = {name: gap for name in others if (gap := self.gap(name)) is not None}
        seeds = min((gap.seeds for gap in gaps.values()), default=0)
        if not gaps:
            return f"No search could be compared with {first}: no test images could be read."
        if any(gap.half is None for gap in gaps.values()):
            return (
                "Only one seed is common: nothing can be said about chance. Give --seeds 3 or more."
            )
        sure = [name for name, gap in gaps.items() if gap.by_chance is False]
        if not sure:
            return f"No search differs from {first} beyond chance, over {seeds} seeds."
        said = [
            f"{name} finds networks {abs(gaps[name].points):.1f} ± {gaps[name].half:.1f} points "
            f"{'better' if gaps[name].points > 0 else 'worse'} than {first}"
            for name in sure
        ]
        rest = "" if len(sure) == len(gaps) else " The others do not differ from it beyond chance."
        return f"{'; '.join(said)}, over {seeds} seeds.{rest}"

    def cells(self, name: str) -> list[str]:
        """Return a search's figures as text, under `TITLES`."""
        of = self.outcomes[name]
        tried = [one.of_target for search in of for one in search.trials]
        gap = self.gap(name)
        return [
            name,
            mean_cell(list(self.tests(name).values())),
            "" if gap is None else _gap_cell(gap),
            f"{fmean(one.of_target for one in of):.2f}{_within(of)}",
            f"{fmean(one.within for one in of):.0%}",
            _quartiles(tried),
            _best_cell(self.best_trials(name), seeds=len(of)),
            _best_cell(self.best_trials(name, equal_time=True), seeds=len(of)),
            duration(fmean(one.train_s for one in of)),
        ]

    def markdown(self) -> str:
        """Return the verdict, the table, and what its figures are."""
        titles = [title.format(metric=self.metric) for title in TITLES]
        seeds = f"{min(len(of) for of in self.outcomes.values())} seeds"
        lines = [f"{self.about}. {self.verdict()}", "", _line(titles), "|---" * len(titles) + "|"]
        lines += [_line(self.cells(name)) for name in self.outcomes]
        note = NOTE.format(metric=self.metric, seeds=seeds)
        return "\n".join([*lines, "", f"{'; '.join(self.devices)}. {note}"]) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "about": self.about,
            "metric": self.metric,
            "devices": list(self.devices),
            "verdict": self.verdict(),
            "searches": [self._plain(name) for name in self.outcomes],
        }

    def _plain(self, name: str) -> dict[str, Any]:
        gap = self.gap(name)
        return {
            "name": name,
            "difference_points": gap and gap.points,
            "difference_half_interval": gap and gap.half,
            "seeds": [
                {
                    "seed": one.seed,
                    "test": one.test,
                    "held_out": one.held_out,
                    "latency_of_target": one.of_target,
                    "trials": [trial._asdict() for trial in one.trials],
                }
                for one in self.outcomes[name]
            ],
        }

    def csv(self) -> str:
        """Return a row for each search and seed, of plain numbers."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(
            [
                "search",
                "seed",
                "test",
                "held_out",
                "latency_of_target",
                "trials",
                "within",
                "train_s",
            ]
        )
        for name, of in self.outcomes.items():
            for one in of:
                trials = [len(one.trials), one.within, one.train_s]
                table.writerow([name, one.seed, one.test, one.held_out, one.of_target, *trials])
        return text.getvalue()


def _best_cell(percents: Sequence[float], *, seeds: int) -> str:
    if not percents:
        return "none"
    some = f", {len(percents)} of {seeds} seeds" if len(percents) < seeds else ""
    return mean_cell(percents) + some


def _within(of: Sequence[Outcome]) -> str:
    """Say how many finalists are within the target, unless all are."""
    within = sum(one.of_target <= 1 for one in of)
    return "" if within == len(of) else f", {within} of {len(of)} within"


def _quartiles(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:.2f}" for value in values)
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _gap_cell(gap: Gap) -> str:
    return f"{gap.points:+.1f}" + ("" if gap.half is None else f" ± {gap.half:.1f}")


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"
