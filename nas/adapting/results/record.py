"""Read a NetAdapt run from its folder, without a lock and also while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from latency import Latency
from nas.adapting.baselines import Baseline, missing_baselines, read_baselines
from nas.adapting.config import AdaptConfig
from nas.adapting.family import Planned, StepPlan, confirmed_path, read_confirmed
from nas.adapting.kinds import is_curve
from nas.adapting.results.comparison import Comparison, comparisons
from nas.adapting.results.metadata import KIND, REMEDY, AdaptMetadata, read_adapt_metadata
from nas.adapting.results.paired import read_paired
from nas.adapting.results.stored_result import StoredResult
from nas.atomic_files import read_object
from nas.engine.final_scores import read_tested
from nas.engine.folder.records import parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial, read_trials
from nas.tasks import metric_of_spec
from nas.tasks.intervals import Difference
from search_spaces import ArchSpec, InputError
from search_spaces.spec import from_dict


@dataclass(frozen=True)
class StepRecord:
    """One step of a run.

    Attributes:
        number: From 1.
        delta_ms: Minimum saving of each proposal.
        entries: Its proposals with their trials; None for a trial that has not ended.
        confirmed: Latency of the chosen network, measured again after the choice; None if nothing is
            measured, or not yet.
    """

    number: int
    delta_ms: float
    entries: Sequence[tuple[Planned, Trial | None]]
    confirmed: Latency | None = None

    @property
    def chosen(self) -> int | None:
        """Index of the chosen proposal; None before all have ended, or if all failed."""
        trials = [trial for _, trial in self.entries]
        if not all(trials):
            return None
        good = [(t.reward, -p) for p, t in enumerate(trials) if t and t.accuracy is not None]
        return -max(good)[1] if good else None


@dataclass(frozen=True)
class AdaptRecord:
    """The contents of a run's folder.

    Attributes:
        path: The folder.
        metadata: Contents of `run.json`.
        settings: The settings of the steps; others have their defaults.
        steps: In order; the last may be incomplete.
        finals: The final trainings, of baselines too.
        baselines: The baselines, by file name: `uniform`, and `uniform-step-3` for an intermediate network.
        missing: Names of baselines that were not found.
        tested: Accuracies on the test images, 0..1: see `nas.engine.final_scores`.
        paired: Differences on the same test images: see `nas.adapting.results.paired`.
        result: Contents of `result.json`; None if it is missing or out of date.
    """

    path: Path
    metadata: AdaptMetadata
    settings: AdaptConfig
    steps: Sequence[StepRecord]
    finals: Sequence[Trial]
    baselines: dict[str, Baseline]
    missing: Sequence[str]
    tested: dict[str, float]
    paired: dict[str, Difference]
    result: StoredResult | None

    @classmethod
    def read(cls, folder: RunFolder) -> Self:
        """Read what the folder holds now.

        Raises:
            InputError: It is not the folder of a NetAdapt run, or a file in it is damaged.
        """
        metadata = read_adapt_metadata(folder / "run.json")
        trials = {t.index: t for t in read_trials(folder / "proposals.jsonl")}
        steps: list[StepRecord] = []
        first = 0
        while (path := folder / "plans" / f"step-{len(steps)}.json").is_file():
            plan = StepPlan.from_dict(_read(path))
            if not plan.proposals:  # no group could be narrowed further
                break
            entries = [(p, trials.get(first + place)) for place, p in enumerate(plan.proposals)]
            number = len(steps) + 1
            confirmed = read_confirmed(confirmed_path(folder, number))
            steps.append(StepRecord(number, plan.delta_ms, entries, confirmed))
            first += len(entries)
        finals = read_trials(folder / "finals.jsonl")
        path = folder / "result.json"
        kept = parse_record(StoredResult, _read(path), where=path) if path.is_file() else None
        chosen = sum(step.chosen is not None for step in steps)
        if kept is not None and kept.steps != chosen:
            kept = None  # stale: the run was resumed since then
        found, lacking = read_baselines(folder), missing_baselines(folder)
        known = read_tested(folder)
        settings = metadata.step_settings(where=folder / "run.json")
        paired = read_paired(folder)
        return cls(
            folder.path, metadata, settings, steps, finals, found, lacking, known, paired, kept
        )

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @cached_property
    def seed(self) -> ArchSpec:
        """The network that the run started from."""
        return from_dict(self.metadata.seed.spec, where="run.json, seed")

    @cached_property
    def metric(self) -> str:
        """Name of the metric that accuracies are."""
        return metric_of_spec(self.seed).name

    @property
    def seed_latency(self) -> Latency:
        """The seed's latency."""
        return self.metadata.latency

    @property
    def px(self) -> int:
        """The deployed resolution, at which all accuracies and latencies are given."""
        return self.metadata.data.px

    @property
    def estimate(self) -> bool:
        """Whether all latencies are estimates."""
        return self.seed_latency.estimate

    @property
    def by_pieces(self) -> bool:
        """Whether only chosen networks are measured; latencies of proposals are sums of pieces."""
        return self.metadata.device.estimate and not self.estimate

    @cached_property
    def family(self) -> list[tuple[Planned, Trial]]:
        """The chosen network of every finished step, with its confirmed latency."""
        return [
            (replace(planned, latency=step.confirmed or planned.latency), trial)
            for step in self.steps
            if step.chosen is not None
            for planned, trial in [step.entries[step.chosen]]
            if trial is not None
        ]

    @property
    def adapted(self) -> ArchSpec:
        """The current network."""
        return self.family[-1][0].spec if self.family else self.seed

    @property
    def adapted_latency(self) -> Latency:
        """The current network's latency."""
        reading = self.family[-1][0].latency if self.family else self.seed_latency
        assert reading is not None
        return reading

    @property
    def baseline_names(self) -> list[str]:
        """Names of the baselines."""
        return sorted({baseline.name for baseline in self.baselines.values()})

    @property
    def has_curve(self) -> bool:
        """Whether intermediate networks were compared too."""
        return any(is_curve(trial.kind) for trial in self.finals)

    @property
    def comparisons(self) -> list[Comparison]:
        """Comparisons of the adapted network with its baselines."""
        return comparisons(self.finals, self.baseline_names, self.tested, self.paired)

    @property
    def latencies(self) -> list[Latency]:
        """All latencies of the run."""
        planned = [p.latency for step in self.steps for p, _ in step.entries if p.latency]
        return [
            self.seed_latency,
            *planned,
            *(baseline.latency for baseline in self.baselines.values()),
        ]

    @property
    def failed(self) -> list[Trial]:
        """Proposals and final trainings that failed."""
        tried = [trial for step in self.steps for _, trial in step.entries if trial]
        return [trial for trial in (*tried, *self.finals) if trial.accuracy is None]


def is_adapt_run(folder: RunFolder) -> bool:
    """Return whether the folder belongs to a NetAdapt run."""
    try:
        return bool(_read(folder / "run.json").get("kind") == KIND)
    except InputError:
        return False


def _read(path: Path) -> dict[str, Any]:
    return read_object(path, remedy=REMEDY)
