"""The files that a NetAdapt run keeps of each step: its proposals, and the network chosen from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from latency import Latency
from nas.atomic_files import read_json, write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial
from search_spaces import ArchSpec
from search_spaces.spec import from_dict, to_dict, to_yaml


@dataclass(frozen=True)
class Planned:
    """A proposal with its latency, as written to disk before training.

    Attributes:
        name: Description for people.
        spec: The network.
        latency: Its latency; None if it could not be measured.
        problem: Why it could not be measured.
    """

    name: str
    spec: ArchSpec
    latency: Latency | None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        known = {"name": self.name, "latency": self.latency and self.latency.to_dict()}
        problem = {"problem": self.problem} if self.problem else {}
        return known | problem | {"spec": to_dict(self.spec)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        latency = Latency.from_dict(data["latency"]) if data["latency"] else None
        return cls(data["name"], from_dict(data["spec"]), latency, data.get("problem"))


@dataclass(frozen=True)
class StepPlan:
    """A step's proposals, and the minimum saving of each in milliseconds."""

    delta_ms: float
    proposals: Sequence[Planned]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: `plans/step-N.json`."""
        return {
            "delta_ms": self.delta_ms,
            "proposals": [planned.to_dict() for planned in self.proposals],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(data["delta_ms"], [Planned.from_dict(entry) for entry in data["proposals"]])


class Family:
    """The steps of a run on disk.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def planned(self, step: int) -> StepPlan | None:
        """Return the recorded proposals of a step (from 0), or None if there are none yet."""
        path = self._plan_path(step)
        return StepPlan.from_dict(read_json(path)) if path.is_file() else None

    def keep_plan(self, step: int, plan: StepPlan) -> None:
        """Record a step's proposals before the first of them is trained."""
        path = self._plan_path(step)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, json.dumps(plan.to_dict(), indent=1) + "\n")

    def keep_network(self, step: int, spec: ArchSpec, chosen: Trial) -> bytes:
        """Save the network chosen in a step (from 1); return its weights, serialized."""
        folder = self._folder / "family"
        folder.mkdir(exist_ok=True)
        write_whole(folder / f"step-{step}.yaml", to_yaml(spec))
        kept = folder / f"step-{step}.pt"
        fresh = self._folder.weights_path(chosen.key)
        if fresh.exists():
            write_whole(kept, fresh.read_bytes())
        return kept.read_bytes()

    def drop_weights(self, trials: Sequence[Trial]) -> None:
        """Delete the weights of a step's proposals, once the chosen network is saved."""
        for trial in trials:
            self._folder.weights_path(trial.key).unlink(missing_ok=True)

    def confirmed(self, step: int) -> Latency | None:
        """Return the latency measured again after the step's choice, if any."""
        return read_confirmed(confirmed_path(self._folder, step))

    def keep_confirmed(self, step: int, latency: Latency) -> None:
        """Save the latency measured again after the step's choice."""
        write_whole(confirmed_path(self._folder, step), json.dumps(latency.to_dict()) + "\n")

    def _plan_path(self, step: int) -> Path:
        return self._folder / "plans" / f"step-{step}.json"


def confirmed_path(folder: RunFolder, step: int) -> Path:
    """Return the path of the latency measured again after a step's choice."""
    return folder / "family" / f"step-{step}.latency.json"


def read_confirmed(path: Path) -> Latency | None:
    """Return the latency in a file, or None if there is no such file."""
    return Latency.from_dict(read_json(path)) if path.is_file() else None
