"""The proxy task: train one candidate for a while, and tell how well it does on held-out images."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.training.recipe import Recipe
from nas.trial import Job, Kind, Outcome

if TYPE_CHECKING:
    from nas.training.images import Dataset
    from nas.warm_start import WarmStart


@dataclass(frozen=True)
class ProxyTraining:
    """Trains jobs on a data set; picklable, so that Ray can put it into its object store once.

    Attributes:
        dataset: Images at the proxy resolution.
        recipe: Of the search's trials; finalists train `final_factor` times as long.
        final_factor: How much longer.
        device: `cpu`, `cuda`, or `auto` for the GPU where the worker sees one.
        threads: Torch threads.
        warm_start: What trials begin with the weights of; finalists always begin with drawn ones.
        rung: Of the shorter trainings that come first, with multi-fidelity.
    """

    dataset: Dataset
    recipe: Recipe
    final_factor: float = 4.0
    device: str = "auto"
    threads: int = 1
    warm_start: WarmStart | None = None
    rung: Recipe | None = None

    def __call__(self, job: Job) -> Outcome:
        """Train a job's network; the same job gives the same outcome on the same kind of device."""
        import torch

        from nas.torch_files import state_bytes
        from nas.training.train import Diverged, train
        from search_spaces.network import build

        torch.set_num_threads(self.threads)
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        # What trains has the images' size; what is deployed has the spec's. The weights are the same.
        spec = replace(job.spec, resolution=self.dataset.resolution_px)
        generator = torch.Generator().manual_seed(job.seed)
        network = build(spec, generator=generator)
        warm = self.warm_start if job.kind != "final" else None
        if warm is not None:
            network.load_state_dict(warm.state_dict(job.tokens, generator=generator))
        began_s = time.perf_counter()  # evaluation is a part of what a trial takes
        try:
            result = train(
                network,
                self.dataset,
                self._recipe(job.kind),
                seed=job.seed,
                device=device,
                from_scratch=warm is None,
                # Layers of two networks have been mixed: neither's statistics hold.
                new_statistics=True,
            )
        except Diverged as error:
            return Outcome(None, f"diverged: {error}")
        took_s = time.perf_counter() - began_s
        weights = None
        if job.kind == "final":
            weights = state_bytes(network.state_dict())
        return Outcome(result.accuracy, train_s=took_s, weights=weights)

    def _recipe(self, kind: Kind) -> Recipe:
        if kind == "rung":
            assert self.rung is not None
            return self.rung
        return self.recipe.longer(self.final_factor) if kind == "final" else self.recipe
