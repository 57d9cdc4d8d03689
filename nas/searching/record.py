"""A run as its folder tells it: read without a lock and without a trace, also while the search runs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from nas.atomic_files import read_lines
from nas.engine.run_folder import RunFolder
from nas.engine.trial import Trial, read_trials
from nas.formatting import Labels, short_names
from nas.searching.config import load_config
from nas.searching.estimates import Estimate, estimates
from nas.searching.results import pareto_front, read_result
from nas.searching.sizes import Sizes
from nas.statistics.noise import Noise, measure_noise
from search_spaces import InputError

Shares = list[list[list[float]]]
"""Of each choice in each batch: (batches, decisions, choices)."""


@dataclass(frozen=True)
class DeviceRecord:
    """A device of the run.

    Attributes:
        name: In full.
        short: What of it tells it from the run's other devices.
        target_ms: The latency budget on it.
        estimate: Whether latencies are computed and not measured.
    """

    name: str
    short: str
    target_ms: float
    estimate: bool


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder holds.

    Attributes:
        name: The folder's.
        metadata: `run.json`.
        trials: The search's, in the order asked: all that trained in full.
        finals: The finalists' longer trainings, and the repeats.
        probabilities: Of the controller's choices after each batch; empty if it has no policy.
        result: `result.json`; None unless it is the result of these trials.
        rungs: The candidates' first parts, with multi-fidelity; their accuracies compare with no trial's.
    """

    name: str
    metadata: dict[str, Any]
    trials: list[Trial]
    finals: list[Trial]
    probabilities: Shares
    result: dict[str, Any] | None
    rungs: list[Trial] = field(default_factory=list)

    @classmethod
    def read(cls, folder: RunFolder) -> Self:
        """What the folder holds now.

        Raises:
            InputError: It has no run.json, or a file in it is damaged or of another run.
        """
        metadata = _read_metadata(folder / "run.json")
        if "resolution" not in metadata:  # runs of before noted the trials' size alone
            metadata["resolution"] = _configured_px(folder) or metadata["data"]["px"]
        log = read_trials(folder / "trials.jsonl")
        finals = read_trials(folder / "finals.jsonl")
        probabilities: Shares = read_lines(folder / "policy.jsonl", lambda d: d["probabilities"])
        arities = [len(choices) for _, choices in metadata["labels"]]
        devices = 1 + len(metadata.get("other_devices", ()))
        for trial in [*log, *finals]:
            if len(trial.tokens) != len(arities) or any(
                not 0 <= t < n for t, n in zip(trial.tokens, arities, strict=True)
            ):
                raise InputError(f"{folder.path}: trial {trial.index} is not of run.json's space")
            if len(trial.latencies) not in (0, devices):
                raise InputError(f"{folder.path}: trial {trial.index} is not of run.json's devices")
        if any([len(row) for row in batch] != arities for batch in probabilities):
            raise InputError(f"{folder.path / 'policy.jsonl'} is not of run.json's space")
        trials = [trial for trial in log if trial.kind == "search"]
        rungs = [trial for trial in log if trial.kind == "rung"]
        result = read_result(folder)
        if result is not None and result["trials"] != len(trials):
            result = None  # stale: the run was resumed since
        return cls(
            folder.path.resolve().name, metadata, trials, finals, probabilities, result, rungs
        )

    @property
    def sizes(self) -> Sizes:
        """The trials' size, and the deployed one."""
        return Sizes(int(self.metadata["data"]["px"]), int(self.metadata["resolution"]))

    @property
    def labels(self) -> Labels:
        """The decisions and their choices."""
        labels: Labels = self.metadata["labels"]
        return labels

    @cached_property
    def devices(self) -> list[DeviceRecord]:
        """The device, or several; a trial's latencies are in this order."""
        first = self.metadata["device"] | {"target_ms": self.metadata["target_ms"]}
        records = [first, *self.metadata.get("other_devices", ())]
        names = short_names([record["name"] for record in records])
        return [
            DeviceRecord(r["name"], short, float(r["target_ms"]), bool(r["estimate"]))
            for r, short in zip(records, names, strict=True)
        ]

    @property
    def targets_ms(self) -> list[float]:
        """The latency budget on each device."""
        return [device.target_ms for device in self.devices]

    @cached_property
    def candidates(self) -> list[Trial]:
        """Whatever the controller asked for, in its order: the longest training of each."""
        longest = {trial.index: trial for trial in (*self.rungs, *self.trials)}
        return [longest[index] for index in sorted(longest)]

    @cached_property
    def good(self) -> list[Trial]:
        """The search's trials that have an accuracy and a latency."""
        return [trial for trial in self.trials if usable(trial)]

    @cached_property
    def failed(self) -> list[Trial]:
        """Candidates that have none, in full or in their first part."""
        return [trial for trial in self.candidates if not usable(trial)]

    @cached_property
    def front(self) -> list[Trial]:
        """The trials that no other beats in accuracy and in the latency on each device, fastest first."""
        return pareto_front(self.good)

    @cached_property
    def noise(self) -> Noise | None:
        """How much accuracies differ by chance, if anything was trained twice."""
        return measure_noise(self.good, self.finals)

    @cached_property
    def estimates(self) -> dict[int, Estimate]:
        """Of each usable trial's accuracy, from all of them together; see `nas.searching.estimates`."""
        return estimates([len(choices) for _, choices in self.labels], self.good)

    @property
    def margin_points(self) -> float:
        """How far below the best accuracy chance may put its equal; see `fastest_of_the_best`."""
        return self.noise.margin if self.noise else 0.0

    def again(self, kind: str) -> list[Trial]:
        """The finalists' longer trainings (`final`) or the repeats (`repeat`) that succeeded."""
        return [trial for trial in self.finals if trial.kind == kind and usable(trial)]


def usable(trial: Trial) -> bool:
    """Whether a trial can be drawn: it has finite figures."""
    return (
        trial.ok
        and trial.accuracy is not None
        and trial.latency is not None
        and all(map(math.isfinite, (trial.accuracy, *trial.latencies_ms, trial.reward)))
    )


def _configured_px(folder: RunFolder) -> int | None:
    """The deployed size in the settings of a run that a command began."""
    path = folder / "config.yaml"
    return load_config(path).resolution if path.is_file() else None


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"space", "labels", "device", "target_ms", "budget", "data"} - set(metadata)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path.parent} has no readable run.json: give the folder of a search that has begun"
        ) from error
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(sorted(missing))}: it was not written by a search"
        )
    return metadata
