"""What a NetAdapt worker does: fine-tune a proposal, or train the last network or a rival."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.adapting.baselines import keeps_weights
from nas.adapting.job import AdaptJob
from nas.engine.job import Evaluate, Outcome

if TYPE_CHECKING:
    from nas.data.images import Dataset
    from netadapt.channel_selection import ChannelSelection


@dataclass(frozen=True)
class AdaptTraining:
    """Trains `AdaptJob`s on a data set; picklable.

    Attributes:
        dataset: Images, normalised as the seed is used to.
        keep: Which channels stay: see `netadapt.weights.inherit`.
        device: `cpu`, `cuda`, or `auto` for the GPU where the worker sees one.
        threads: Torch threads.
    """

    dataset: Dataset
    keep: ChannelSelection = "first"
    device: str = "auto"
    threads: int = 1

    def __call__(self, job: AdaptJob) -> Outcome:
        """Train a job's network; the same job gives the same outcome on the same kind of device."""
        import torch

        from nas.checkpoints.torch_files import state_bytes, state_of
        from nas.training.train import Diverged, train
        from netadapt.weights import transfer
        from search_spaces.network import build

        torch.set_num_threads(self.threads)
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        drawn = torch.Generator().manual_seed(job.seed)
        network = build(job.spec, generator=drawn)
        if job.weights is not None:
            weights = state_of(job.weights)
            network.load_state_dict(
                transfer(job.parent, weights, job.spec, selection=self.keep, generator=drawn)
            )
        try:
            result = train(
                network,
                self.dataset,
                job.recipe,
                seed=job.seed,
                device=device,
                from_scratch=job.weights is None,
            )
        except Diverged as error:
            return Outcome(None, f"diverged: {error}")
        trained = state_bytes(network.state_dict()) if keeps_weights(job.kind) else None
        return Outcome(
            result.accuracy,
            train_s=result.train_s,
            weights=trained,
            px=self.dataset.resolution_px,
        )


@dataclass(frozen=True)
class WithWeights:
    """Checks that a caller's own evaluator returns the weights that a run goes on with; picklable.

    Attributes:
        evaluate: The evaluator.
    """

    evaluate: Evaluate[AdaptJob]

    def __call__(self, job: AdaptJob) -> Outcome:
        """Train a job's network; without weights, where they are needed, it has failed."""
        outcome = self.evaluate(job)
        if not isinstance(outcome, Outcome) or outcome.accuracy is None:
            return outcome
        if not keeps_weights(job.kind):
            return replace(outcome, weights=None)
        if outcome.weights is None:
            return Outcome(None, "its training returned no weights")
        return outcome
