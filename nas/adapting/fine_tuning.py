"""The work of a NetAdapt worker: fine-tune a proposal, or run a final training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.adapting.job import AdaptJob
from nas.adapting.kinds import TRAININGS, is_curve, training_of
from nas.data.share import WHOLE, Share
from nas.engine.job import Evaluate, Outcome

if TYPE_CHECKING:
    from nas.data.images import Dataset
    from nas.training.teacher import Teacher
    from netadapt.channel_selection import ChannelSelection


@dataclass(frozen=True)
class AdaptTraining:
    """Trains `AdaptJob`s on a data set; picklable.

    Attributes:
        dataset: Images, normalized as for the seed.
        keep: Which channels to inherit (`netadapt.weights.inherit`) if a job brings no order of them.
        device: `cpu`, `cuda`, or `auto` for the GPU if the worker has one.
        threads: Torch threads.
        new_statistics: Whether batch norm's statistics are taken anew also where weights are inherited.
        teacher: A network that final trainings learn from beside the labels.
        teach_proposals: Whether proposals learn from it too, and the networks that they are compared with.
        share: This process's part of every batch, if several train a job together.
    """

    dataset: Dataset
    keep: ChannelSelection = "first"
    device: str = "auto"
    threads: int = 1
    new_statistics: bool = False
    teacher: Teacher | None = None
    teach_proposals: bool = False
    share: Share = WHOLE

    def __call__(self, job: AdaptJob) -> Outcome:
        """Train a job's network; the outcome is reproducible on the same kind of device."""
        import torch

        from nas.checkpoints.torch_files import state_bytes, state_of
        from nas.training.machine.device import worker_device
        from nas.training.train import Diverged, train
        from netadapt.transfer import transfer
        from search_spaces.network import build

        device = worker_device(self.device, threads=self.threads)
        drawn = torch.Generator().manual_seed(job.seed)
        network = build(job.spec, generator=drawn)
        if job.weights is not None:
            weights = state_of(job.weights)
            selection = self.keep if job.order is None else job.order
            network.load_state_dict(
                transfer(job.parent, weights, job.spec, selection=selection, generator=drawn)
            )
        from_scratch = job.weights is None
        taught = self.teach_proposals or training_of(job.kind) in TRAININGS
        # The statistics of blocks after a dropped one are of inputs that they no longer see.
        shorter = len(job.spec.blocks) < len(job.parent.blocks)
        try:
            result = train(
                network,
                self.dataset,
                job.recipe,
                seed=job.seed,
                teacher=self.teacher if taught else None,
                device=device,
                share=self.share,
                from_scratch=from_scratch,
                new_statistics=from_scratch or shorter or self.new_statistics,
            )
        except Diverged as error:
            return Outcome(None, f"diverged: {error}")
        trained = None if is_curve(job.kind) else state_bytes(network.state_dict())
        return Outcome(
            result.accuracy,
            train_s=result.train_s,
            weights=trained,
            px=self.dataset.resolution_px,
        )


@dataclass(frozen=True)
class WithWeights:
    """Checks that a user's evaluator returns the weights that later steps need; picklable.

    Attributes:
        evaluate: The evaluator.
    """

    evaluate: Evaluate[AdaptJob]

    def __call__(self, job: AdaptJob) -> Outcome:
        """Train a job's network; it counts as failed if its weights are needed and missing."""
        outcome = self.evaluate(job)
        if not isinstance(outcome, Outcome) or outcome.accuracy is None:
            return outcome
        if is_curve(job.kind):
            return replace(outcome, weights=None)
        if outcome.weights is None:
            return Outcome(None, "the evaluator returned no weights")
        return outcome
