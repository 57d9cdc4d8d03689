"""Read a search from its folder, without a lock or any change, also while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from nas.atomic_files import read_lines
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import RIVALS
from nas.engine.trial import Trial, read_trials
from nas.formatting import ACCURACY, Labels, short_names
from nas.searching.config import load_config
from nas.searching.from_parent.rivals import Rival, read_standing
from nas.searching.results.estimates import Estimate, estimates
from nas.searching.results.metadata import SearchMetadata, read_search_metadata
from nas.searching.results.stored_result import StoredResult, read_result
from nas.searching.results.table import pareto_front
from nas.searching.sizes import Sizes
from nas.statistics.noise import Noise, measure_noise
from search_spaces import InputError

Shares = list[list[list[float]]]
"""Probability of each choice in each batch: (batches, decisions, choices)."""


@dataclass(frozen=True)
class DeviceRecord:
    """A device of the run.

    Attributes:
        name: Full name.
        short: The part of the name that distinguishes it from the run's other devices.
        target_ms: The latency budget on it.
        estimate: Whether latencies are estimates.
    """

    name: str
    short: str
    target_ms: float
    estimate: bool


@dataclass(frozen=True)
class RunRecord:
    """The contents of a run's folder.

    Attributes:
        name: The folder's name.
        metadata: Contents of `run.json`.
        trials: The trials of full length, in order.
        finals: The finalists' longer trainings, and the repeats.
        probabilities: The controller's, after each batch; empty if it has no policy.
        result: Contents of `result.json`; None if it is missing or out of date.
        rungs: The candidates' first parts, with multi-fidelity; not comparable with trials.
        rivals: What finalists are compared with, in a search from a parent.
    """

    name: str
    metadata: SearchMetadata
    trials: list[Trial]
    finals: list[Trial]
    probabilities: Shares
    result: StoredResult | None
    rungs: list[Trial] = field(default_factory=list)
    rivals: tuple[Rival, ...] = ()

    @classmethod
    def read(cls, folder: RunFolder) -> Self:
        """Read what the folder holds now.

        Raises:
            InputError: It has no run.json, or a file in it is damaged or belongs to another run.
        """
        metadata = read_search_metadata(folder / "run.json")
        if metadata.resolution is None:
            metadata = metadata.model_copy(update={"resolution": _configured_px(folder)})
        log = read_trials(folder / "trials.jsonl")
        finals = read_trials(folder / "finals.jsonl")
        probabilities: Shares = read_lines(folder / "policy.jsonl", lambda d: d["probabilities"])
        arities = [len(choices) for _, choices in metadata.labels]
        devices = len(metadata.devices)
        for trial in [*log, *finals]:
            if trial.kind in RIVALS:  # proposed by no controller
                continue
            if len(trial.tokens) != len(arities) or any(
                not 0 <= t < n for t, n in zip(trial.tokens, arities, strict=True)
            ):
                raise InputError(
                    f"{folder.path}: trial {trial.index} does not fit the space in run.json"
                )
            if len(trial.latencies) not in (0, devices):
                raise InputError(
                    f"{folder.path}: trial {trial.index} does not fit the devices in run.json"
                )
        if any([len(row) for row in batch] != arities for batch in probabilities):
            raise InputError(f"{folder.path / 'policy.jsonl'} does not fit the space in run.json")
        trials = [trial for trial in log if trial.kind == "search"]
        rungs = [trial for trial in log if trial.kind == "rung"]
        result = read_result(folder)
        if result is not None and result.trials != len(trials):
            result = None  # stale: the run was resumed since then
        return cls(
            folder.path.resolve().name,
            metadata,
            trials,
            finals,
            probabilities,
            result,
            rungs,
            read_standing(folder).rivals,
        )

    @property
    def sizes(self) -> Sizes:
        """The trials' resolution, and the deployed one."""
        proxy_px = self.metadata.data.px
        deployed_px = self.metadata.resolution or proxy_px
        return Sizes(proxy_px, deployed_px, searched=self.metadata.resolutions is not None)

    @property
    def metric(self) -> str:
        """Name of the metric that accuracies are."""
        return self.metadata.data.metric or ACCURACY

    @property
    def labels(self) -> Labels:
        """The decisions and their choices."""
        return self.metadata.labels

    @cached_property
    def devices(self) -> list[DeviceRecord]:
        """The devices, in the order of a trial's latencies."""
        devices = self.metadata.devices
        names = short_names([device.name for device in devices])
        return [
            DeviceRecord(device.name, short, device.target_ms, device.estimate)
            for device, short in zip(devices, names, strict=True)
        ]

    @property
    def targets_ms(self) -> list[float]:
        """The latency budget on each device."""
        return [device.target_ms for device in self.devices]

    @cached_property
    def candidates(self) -> list[Trial]:
        """All proposed candidates in order: the longest training of each."""
        longest = {trial.index: trial for trial in (*self.rungs, *self.trials)}
        return [longest[index] for index in sorted(longest)]

    @cached_property
    def good(self) -> list[Trial]:
        """Trials that have an accuracy and a latency."""
        return [trial for trial in self.trials if usable(trial)]

    @cached_property
    def failed(self) -> list[Trial]:
        """Candidates that failed, at full length or in their first part."""
        return [trial for trial in self.candidates if not usable(trial)]

    @cached_property
    def front(self) -> list[Trial]:
        """The trials that no other dominates in accuracy and latency on each device, fastest first."""
        return pareto_front(self.good)

    @cached_property
    def noise(self) -> Noise | None:
        """Noise of accuracies, if anything was trained twice."""
        return measure_noise(self.good, self.finals)

    @cached_property
    def estimates(self) -> dict[int, Estimate]:
        """Estimated accuracy of each usable trial; see `nas.searching.results.estimates`."""
        return estimates([len(choices) for _, choices in self.labels], self.good)

    @property
    def margin_points(self) -> float:
        """How far below the best an accuracy may be by chance; see `fastest_of_the_best`."""
        return self.noise.margin if self.noise else 0.0

    def again(self, kind: str) -> list[Trial]:
        """Return the successful longer trainings (`final`) or repeats (`repeat`)."""
        return [trial for trial in self.finals if trial.kind == kind and usable(trial)]


def usable(trial: Trial) -> bool:
    """Return whether a trial has finite figures and can be plotted."""
    return (
        trial.ok
        and trial.accuracy is not None
        and trial.latency is not None
        and all(map(math.isfinite, (trial.accuracy, *trial.latencies_ms, trial.reward)))
    )


def _configured_px(folder: RunFolder) -> int | None:
    """Return the deployed resolution from the settings of a run that a command began."""
    path = folder / "config.yaml"
    return load_config(path).resolution if path.is_file() else None
