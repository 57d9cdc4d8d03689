"""NetAdapt's loop over a run folder: what to fine-tune next, from the log alone.

A step's proposals are written down before the first of them trains, each outcome when it is there, with its
weights. So an interrupted run resumes by replay, loses at most the proposals that were training, and any
number of workers gives the same log.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from latency import Device, Latency, LatencySource
from nas.runs import RunFolder, TrialLog, write_whole
from nas.trial import Job, Outcome, Trial, trial_seed
from netadapt.shrink import Shrink
from search_spaces import ArchSpec, InputError, count
from search_spaces.spec import from_dict, save, to_dict


@dataclass(frozen=True)
class AdaptJob(Job):
    """A network to train from another's weights.

    Attributes:
        parent: The network that `weights` are of.
        weights: Its state dict, serialized by `torch.save`.
    """

    parent: ArchSpec
    weights: bytes


@dataclass(frozen=True)
class Planned:
    """A proposal of a step, as it is written down.

    Attributes:
        name: For people: `block 3 expansion 72 -> 40`.
        spec: The network.
        latency: What the source said of it.
    """

    name: str
    spec: ArchSpec
    latency: Latency


class Remembering:
    """A latency source that asks another once a network; also a function to milliseconds.

    An unstable reading is not measured again: a network's latency would change while it is compared.

    Args:
        source: The source to ask.
        tell: Is given the number of networks asked so far.
    """

    def __init__(self, source: LatencySource, tell: Callable[[int], None] = lambda _: None) -> None:
        self.source, self.tell = source, tell
        self.readings: dict[str, Latency] = {}

    @property
    def device(self) -> Device:
        """The device of the source behind."""
        return self.source.device

    def latency(self, spec: ArchSpec) -> Latency:
        """The network's latency."""
        return self.reading(spec)

    def __call__(self, spec: ArchSpec) -> float:
        """The network's latency in milliseconds."""
        return self.reading(spec).median_ms

    def reading(self, spec: ArchSpec) -> Latency:
        """The network's latency."""
        if spec.fingerprint not in self.readings:
            self.readings[spec.fingerprint] = self.source.latency(spec)
            self.tell(len(self.readings))
        return self.readings[spec.fingerprint]


class AdaptLoop:
    """`next_job` until `done`, `record` for each job; NetAdapt's steps, then the last network's training.

    Args:
        shrink: NetAdapt's loop, fresh.
        latency: The function that `shrink` asks.
        weights: The seed's state dict, serialized by `torch.save`.
        folder: Where everything is kept; what it holds already is replayed.
        run_seed: Of everything random.
        finals: What the last network's training is: `scratch`, `finetune`, both or none.
        watcher: Is told what happens.

    Raises:
        InputError: The folder's log belongs to another run.
    """

    def __init__(
        self,
        shrink: Shrink,
        *,
        latency: Remembering,
        weights: bytes,
        folder: RunFolder,
        run_seed: int,
        finals: tuple[str, ...],
        watcher: AdaptWatcher,
    ) -> None:
        self.shrink, self.latency, self.weights, self.folder = shrink, latency, weights, folder
        self.run_seed, self.finals, self.watcher = run_seed, finals, watcher
        self.seed_accuracy = shrink.current.accuracy
        self.log = TrialLog(folder / "proposals.jsonl")
        self.final_log = TrialLog(folder / "finals.jsonl")
        self.family: list[Trial] = []
        self.done = False
        self.failure: str | None = None
        self._asked = 0
        self._plan: list[Planned] = []
        self._jobs: list[AdaptJob] = []
        self._settled: dict[int, Trial] = {}
        self._finishing = False

    def next_job(self) -> AdaptJob | None:
        """The next network to train, or None: all is done, or waits for jobs that are out."""
        while not self.done and len(self._settled) == len(self._plan):
            self._close()
            self._open()
        return self._jobs.pop(0) if self._jobs else None

    def record(self, job: Job, outcome: Outcome) -> None:
        """Keep a job's outcome; afterwards it survives a `kill -9`."""
        if outcome.weights is not None:
            self.folder.keep_weights(job.index, outcome.weights)
        assert job.latency is not None
        score = 0.0
        if outcome.accuracy is not None and job.kind == "proposal":
            score = self.shrink.score(outcome.accuracy, job.latency.median_ms)
        trial = Trial.of(job, outcome, reward=score)
        (self.final_log if self._finishing else self.log).add(trial)
        self._settled[job.index] = trial
        self.watcher.tuned(trial, self._plan[job.index - self._first].name, replayed=False)

    @property
    def _first(self) -> int:
        """Index of the first job of the step."""
        return self._asked - len(self._plan)

    def _open(self) -> None:
        """Begin the next step, or the last network's training, or end."""
        if self._finishing or self.failure is not None:
            self.done = True
        elif self.shrink.done or not (plan := self._planned()):
            self._finishing = True
            now = self.shrink.current
            reading = self.latency.reading(now.spec)
            self._begin(
                [Planned(f"training {kind}", now.spec, reading) for kind in self.finals],
                self.final_log,
            )
        else:
            self._begin(plan, self.log)

    def _planned(self) -> list[Planned]:
        """The step's proposals: those written down, or new ones."""
        path = self.folder / "plans" / f"step-{self.shrink.steps}.json"
        if path.is_file():
            return _read_plan(json.loads(path.read_text(encoding="utf-8")))
        self.watcher.proposing(self.shrink)
        step = self.shrink.next_step()
        plan = [Planned(p.name, p.spec, self.latency.reading(p.spec)) for p in step.proposals]
        if plan:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, json.dumps(_plan_data(step.delta_ms, plan), indent=1) + "\n")
        return plan

    def _begin(self, plan: list[Planned], log: TrialLog) -> None:
        """Queue what is not in the log yet, the dearest first."""
        self._plan, self._settled, first = plan, {}, self._asked
        self._asked += len(plan)
        kinds = self.finals if self._finishing else ("proposal",) * len(plan)
        step = self.shrink.steps
        jobs = [
            AdaptJob(
                index=first + place,
                kind=kind,
                batch=step,
                tokens=(),
                spec=planned.spec,
                # All proposals of a step see the same images in the same order.
                seed=trial_seed(self.run_seed, step, kind),
                latency=planned.latency,
                parent=self.shrink.current.spec,
                weights=self.weights,
            )
            for place, (planned, kind) in enumerate(zip(plan, kinds, strict=True))
        ]
        done = log.open_batch([(job.kind, job.index) for job in jobs])
        for job in jobs:
            trial = done.get((job.kind, job.index))
            if trial is None:
                continue
            if trial.fingerprint != job.spec.fingerprint:
                raise InputError(
                    f"{log.path}: proposal {job.index} is not what this run would ask: the log belongs "
                    "to another seed, device or version; resume with the ones that wrote it"
                )
            self._settled[job.index] = trial
            self.watcher.tuned(trial, plan[job.index - first].name, replayed=True)
        left = [job for job in jobs if job.index not in self._settled]
        self._jobs = sorted(left, key=lambda job: -count(job.spec).madds)
        if left:
            self.watcher.tuning(self.shrink, len(left), finishing=self._finishing)

    def _close(self) -> None:
        """The step is whole: go on with the best proposal."""
        if self._finishing or not self._plan:
            return
        trials = [self._settled[index] for index in sorted(self._settled)]
        place = self.shrink.choose(
            [(planned.spec, planned.latency.median_ms) for planned in self._plan],
            [trial.accuracy for trial in trials],
        )
        step = self.shrink.steps
        self._plan, self._settled = [], {}
        if place is None:
            self.failure = f"all {len(trials)} proposals of a step failed: {trials[0].error}"
            return
        chosen = trials[place]
        self.family.append(chosen)
        self.weights = self._keep(step, chosen)
        for trial in trials:
            self.folder.weights_path(trial.index).unlink(missing_ok=True)
        self.watcher.chosen(self.shrink, chosen)

    def _keep(self, step: int, chosen: Trial) -> bytes:
        """Put the step's network with the family; its weights."""
        family = self.folder / "family"
        family.mkdir(exist_ok=True)
        save(self.shrink.current.spec, family / f"step-{step}.yaml")
        kept = family / f"step-{step}.pt"
        fresh = self.folder.weights_path(chosen.index)
        if fresh.exists():
            shutil.copyfile(fresh, kept.with_suffix(".part"))
            kept.with_suffix(".part").replace(kept)
        return kept.read_bytes()


class AdaptWatcher:
    """Is told what happens; this one shows nothing."""

    def proposing(self, shrink: Shrink) -> None:
        """The next step's proposals are sought: the device is asked for latencies."""

    def tuning(self, shrink: Shrink, jobs: int, *, finishing: bool) -> None:
        """So many networks train from now on."""

    def tuned(self, trial: Trial, name: str, *, replayed: bool) -> None:
        """A network is in the log."""

    def chosen(self, shrink: Shrink, trial: Trial) -> None:
        """A step has ended with this proposal."""


def _plan_data(delta_ms: float, plan: list[Planned]) -> dict[str, Any]:
    entries = [
        {"name": p.name, "latency": p.latency.to_dict(), "spec": to_dict(p.spec)} for p in plan
    ]
    return {"delta_ms": delta_ms, "proposals": entries}


def _read_plan(data: dict[str, Any]) -> list[Planned]:
    return [
        Planned(p["name"], from_dict(p["spec"]), Latency.from_dict(p["latency"]))
        for p in data["proposals"]
    ]
