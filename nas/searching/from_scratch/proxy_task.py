"""The proxy task: train a candidate briefly, and measure its accuracy on held-out images."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.data.share import WHOLE, Share
from nas.engine.job import Job, Outcome
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.data.images import Dataset
    from nas.searching.from_scratch.overlap import Overlap
    from nas.searching.from_scratch.warm_start import WarmStart
    from nas.training.teacher import Teacher
    from nas.training.train import FirstPart


@dataclass(frozen=True)
class ProxyTraining:
    """Trains jobs on a data set. Picklable, so that Ray can put it into its object store once.

    Attributes:
        dataset: Images at the proxy resolution, for trials.
        final_dataset: The same images at the deployed size, for finalists; normalized like `dataset`.
        recipe: Training recipe of trials.
        final_factor: Length of a finalist's training, in trials.
        deployed_part: Fraction of a finalist's steps, at the end, that use the deployed size.
        device: `cpu`, `cuda`, or `auto` for the GPU if the worker has one.
        threads: Number of torch threads.
        warm_start: What trials begin with; finalists too if it says so, and otherwise with drawn weights.
        rung: Recipe of the short trainings, with multi-fidelity.
        teacher: A network that finalists learn from beside the labels.
        share: This process's part of every batch, if several train a job together.
    """

    dataset: Dataset
    final_dataset: Dataset
    recipe: Recipe
    final_factor: float = 4.0
    deployed_part: float = 0.25
    device: str = "auto"
    threads: int = 1
    warm_start: WarmStart | Overlap | None = None
    rung: Recipe | None = None
    teacher: Teacher | None = None
    share: Share = WHOLE

    def __call__(self, job: Job) -> Outcome:
        """Train a job's network; deterministic on the same kind of device."""
        import torch

        from nas.checkpoints.torch_files import state_bytes
        from nas.training.machine.device import worker_device
        from nas.training.train import Diverged, train
        from search_spaces.network import build

        device = worker_device(self.device, threads=self.threads)
        is_final = job.kind == "final"
        data, recipe = (self.final_dataset if is_final else self.dataset), self._recipe(job)
        # The weights do not depend on the resolution, so they also fit the deployed network.
        spec = replace(job.spec, resolution=data.resolution_px)
        generator = torch.Generator().manual_seed(job.seed)
        network = build(spec, generator=generator)
        warm = self.warm_start
        if warm is not None and is_final and not warm.finalists_too:
            warm = None
        if warm is not None:
            network.load_state_dict(warm.state_dict(job.tokens, generator=generator))
        began_s = time.perf_counter()  # includes the evaluation
        try:
            result = train(
                network,
                data,
                recipe,
                seed=job.seed,
                first=self._smaller_first(recipe) if is_final else None,
                teacher=self.teacher if is_final else None,
                device=device,
                share=self.share,
                from_scratch=warm is None,
                # Layers of two networks are mixed, so neither's batch statistics are valid.
                new_statistics=True,
            )
        except Diverged as error:
            return Outcome(None, f"diverged: {error}")
        took_s = time.perf_counter() - began_s
        weights = state_bytes(network.state_dict()) if is_final else None
        return Outcome(result.accuracy, train_s=took_s, weights=weights, px=data.resolution_px)

    def _recipe(self, job: Job) -> Recipe:
        if job.kind == "rung":
            assert self.rung is not None
            return self.rung
        return self.recipe.longer(self.final_factor) if job.kind == "final" else self.recipe

    def _smaller_first(self, recipe: Recipe) -> FirstPart | None:
        """Return the first part of a finalist's training, at the proxy resolution."""
        if self.final_dataset.resolution_px == self.dataset.resolution_px:
            return None
        from nas.training.train import FirstPart

        steps = recipe.total_steps(len(self.dataset.train))
        deployed = max(1, round(self.deployed_part * steps))
        return FirstPart(self.dataset.train, steps - deployed, px=self.dataset.resolution_px)
