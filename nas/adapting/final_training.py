"""Plan the final trainings of a NetAdapt run: its adapted network and the baselines of the same latency.

The comparison is fair: only the network differs. From scratch, all networks share the recipe and the seeds,
and so see the same images in the same order. A fine-tuned baseline trains for as many steps in total as the
adapted network did: NetAdapt's fine-tuning along the way, then the final recipe. A teacher teaches all of
them; a fine-tuned baseline in all of its steps, so it is at no disadvantage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency import Latency
from nas.adapting.baselines import Baseline, BaselineRequest, FindBaseline, recorded_baseline
from nas.adapting.job import AdaptJob
from nas.adapting.kinds import CURVE, FINETUNE, HOW, PROPOSAL, SCRATCH, is_curve, kind_of
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import trial_seed
from nas.engine.memoized_source import MemoizedSource
from nas.engine.trial import Trial
from nas.training.recipe import Recipe
from search_spaces import ArchSpec

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

CURVE_POINTS = 4
"""Networks of the family that are compared with baselines, evenly spaced and including the last."""


@dataclass(frozen=True)
class Reached:
    """The end of NetAdapt's loop.

    Attributes:
        spec: The adapted network.
        latency: Its latency.
        weights: Its state dict, serialized.
        family: The chosen network of each step, as fine-tuned.
    """

    spec: ArchSpec
    latency: Latency
    weights: bytes
    family: Sequence[Trial]


@dataclass(frozen=True)
class FinalTrainings:
    """Plans the final trainings.

    Attributes:
        seed: The checkpoint that NetAdapt started from.
        latency: Returns latencies.
        folder: The run's folder.
        kinds: How networks are trained: `scratch`, `finetune`, both or neither.
        tuning: A proposal's recipe, its length in steps.
        final: The final recipe of each kind, its length in steps; all have the same length.
        run_seed: The run's random seed.
        baselines: Find the baselines, by name.
        seeds: Trainings of each network and kind where there are baselines.
        curve: Whether intermediate networks are compared with baselines too.
        teacher_madds: Multiply-adds of the teacher of final trainings; 0 without one.
        teach_proposals: Whether proposals learn from the teacher too, and with them the baselines of
            intermediate networks.
    """

    seed: Checkpoint
    latency: MemoizedSource
    folder: RunFolder
    kinds: tuple[str, ...]
    tuning: Recipe
    final: Mapping[str, Recipe]
    run_seed: int
    baselines: Mapping[str, FindBaseline]
    seeds: int
    curve: bool = True
    teacher_madds: int = 0
    teach_proposals: bool = False

    def __call__(self, reached: Reached) -> list[AdaptJob]:
        """Return the jobs in log order: first those that do not depend on baselines."""
        jobs = self._ours(reached, range(1))
        if self.baselines:
            jobs += self._ours(reached, range(1, self.seeds))
        for name, find in self.baselines.items():
            baseline = self._baseline(name, find, reached.latency.median_ms)
            if baseline is not None:
                jobs += self._theirs(reached, baseline)
            if self.curve:
                jobs += self._curve(reached, name, find)
        return jobs

    def _ours(self, reached: Reached, indices: range) -> list[AdaptJob]:
        return [
            self._job(
                f"adapted network {HOW[kind]}{self._which(index)}",
                kind=kind,
                index=index,
                seed=trial_seed(self.run_seed, index, kind),
                family=reached.family,
                spec=reached.spec,
                latency=reached.latency,
                recipe=self.final[kind],
                weights=None if kind == SCRATCH else reached.weights,
            )
            for index in indices
            for kind in self.kinds
        ]

    def _theirs(self, reached: Reached, baseline: Baseline) -> list[AdaptJob]:
        recipes = {**self.final, FINETUNE: self.as_long(len(reached.family))}
        return [
            self._job(
                f"{baseline.name} {HOW[kind]}{self._which(index)}",
                kind=kind_of(kind, baseline.name),
                index=index,
                seed=trial_seed(self.run_seed, index, kind),
                family=reached.family,
                spec=baseline.spec,
                latency=baseline.latency,
                recipe=recipes[kind],
                weights=None if kind == SCRATCH else baseline.weights,
            )
            for kind in self.kinds
            if kind == SCRATCH or baseline.weights is not None
            for index in range(self.seeds)
        ]

    def _curve(self, reached: Reached, name: str, find: FindBaseline) -> list[AdaptJob]:
        """Fine-tune baselines of intermediate networks, each for as many steps as NetAdapt took so far."""
        jobs = []
        for step in curve_steps(len(reached.family)):
            limit_ms = reached.family[step - 1].latency_ms
            baseline = self._baseline(name, find, limit_ms, variant=f"step-{step}")
            if baseline is None or baseline.weights is None:
                continue
            job = self._job(
                f"{name} for step {step}",
                kind=kind_of(CURVE, name),
                index=step,
                seed=trial_seed(self.run_seed, step - 1, PROPOSAL),
                family=reached.family,
                spec=baseline.spec,
                latency=baseline.latency,
                recipe=self.tuning.of_steps(step * self._tuning_steps),
                weights=baseline.weights,
            )
            jobs.append(job)
        return jobs

    def _which(self, index: int) -> str:
        return f", {index + 1} of {self.seeds}" if self.baselines else ""

    def _baseline(
        self, name: str, find: FindBaseline, limit_ms: float, *, variant: str = ""
    ) -> Baseline | None:
        request = BaselineRequest(self.seed, self.latency, limit_ms)
        return recorded_baseline(self.folder, name, find, request, variant=variant)

    @property
    def _tuning_steps(self) -> int:
        assert self.tuning.steps is not None
        return self.tuning.steps

    def as_long(self, steps: int) -> Recipe:
        """Return the final recipe for fine-tuning, extended by the training of `steps` NetAdapt steps."""
        final = self.final[FINETUNE]
        assert final.steps is not None
        images = steps * self._tuning_steps * self.tuning.batch_size
        return final.of_steps(final.steps + round(images / final.batch_size))

    def _job(
        self,
        name: str,
        *,
        kind: str,
        index: int,
        seed: int,
        family: Sequence[Trial],
        spec: ArchSpec,
        latency: Latency,
        recipe: Recipe,
        weights: bytes | None,
    ) -> AdaptJob:
        taught = self.teach_proposals or not is_curve(kind)
        return AdaptJob(
            index=index,
            kind=kind,
            batch=len(family),
            tokens=(),
            spec=spec,
            seed=seed,
            latencies=(latency,),
            name=name,
            recipe=recipe,
            parent=spec,
            weights=weights,
            teacher_madds=self.teacher_madds if taught else 0,
        )


def curve_steps(steps: int, points: int = CURVE_POINTS) -> list[int]:
    """Return up to `points` of the steps 1 to `steps`, evenly spaced, the last included.

    >>> curve_steps(3), curve_steps(10), curve_steps(0)
    ([1, 2, 3], [2, 5, 8, 10], [])
    """
    points = min(steps, points)
    return [round(steps * (index + 1) / points) for index in range(points)]
