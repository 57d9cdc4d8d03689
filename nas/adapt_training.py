"""What a NetAdapt worker does: fine-tune a proposal, or train the last network."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.training.recipe import Recipe
from nas.trial import Job, Outcome

if TYPE_CHECKING:
    from nas.training.images import Dataset
    from netadapt.weights import Keep


@dataclass(frozen=True)
class AdaptTraining:
    """Trains `AdaptJob`s on a data set; picklable.

    Attributes:
        dataset: Images, normalised as the seed is used to.
        recipe: Of a proposal's fine-tuning.
        final_recipe: Of the last network's training.
        keep: Which channels stay: see `netadapt.weights.inherit`.
        device: `cpu`, `cuda`, or `auto` for the GPU where the worker sees one.
        threads: Torch threads.
    """

    dataset: Dataset
    recipe: Recipe
    final_recipe: Recipe
    keep: Keep = "first"
    device: str = "auto"
    threads: int = 1

    def __call__(self, job: Job) -> Outcome:
        """Train a job's network; the same job gives the same outcome on the same kind of device."""
        import torch

        from nas.adapt_loop import AdaptJob
        from nas.training.train import Diverged, train
        from netadapt.weights import inherit
        from search_spaces.network import build

        assert isinstance(job, AdaptJob)
        torch.set_num_threads(self.threads)
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        drawn = torch.Generator().manual_seed(job.seed)
        network = build(job.spec, generator=drawn)
        scratch = job.kind == "scratch"
        if not scratch:
            weights = torch.load(io.BytesIO(job.weights), weights_only=True)
            network.load_state_dict(
                inherit(job.parent, weights, job.spec, keep=self.keep, generator=drawn)
            )
        recipe = self.recipe if job.kind == "proposal" else self.final_recipe
        try:
            result = train(
                network, self.dataset, recipe, seed=job.seed, device=device, from_scratch=scratch
            )
        except Diverged as error:
            return Outcome(None, f"diverged: {error}")
        buffer = io.BytesIO()
        torch.save({k: v.cpu() for k, v in network.state_dict().items()}, buffer)
        return Outcome(result.accuracy, train_s=result.train_s, weights=buffer.getvalue())
