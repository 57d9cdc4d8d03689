"""The work of a worker: train a network of a comparison, and test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.comparing.contestant import Contestant
from nas.comparing.job import CompareJob
from nas.data.share import WHOLE, Share
from nas.engine.job import Outcome

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.training.teacher_config import TeacherConfig


@dataclass(frozen=True)
class CompareTraining:
    """Trains the networks of a comparison. Picklable.

    Attributes:
        contestants: The networks.
        images: The images at each resolution.
        teacher: The network that all learn from, and its settings.
        device: `cpu`, `cuda`, or `auto` for the GPU if the worker has one.
        threads: Number of torch threads.
        share: This process's part of every batch, if several train a job together.
    """

    contestants: Sequence[Contestant]
    images: Mapping[int, Dataset]
    teacher: tuple[Checkpoint, TeacherConfig] | None = None
    device: str = "auto"
    threads: int = 1
    share: Share = WHOLE

    def __call__(self, job: CompareJob) -> Outcome:
        """Train a job's network; the outcome is reproducible on the same kind of device."""
        import torch

        from nas.checkpoints.checkpoint import checkpoint_bytes
        from nas.checkpoints.retrain import FitOptions, fine_tuned, fit
        from nas.checkpoints.teachers import teacher_of
        from nas.comparing.trainings import Training
        from nas.training.machine.device import worker_device
        from nas.training.train import Diverged

        device = worker_device(self.device, threads=self.threads)
        contestant = self.contestants[job.place]
        data, start = self.images[contestant.spec.resolution], contestant.start
        if start is not None and contestant.new_classes:
            drawn = torch.Generator().manual_seed(job.seed)
            start = start.with_classes(start.usage.classes, generator=drawn)
        classes = data.classes if start is None else start.usage.classes
        taught = self.teacher and teacher_of(self.teacher[0], classes, self.teacher[1])
        how = FitOptions(seed=job.seed, device=device, share=self.share)
        try:
            if start is not None and contestant.first is not None:
                start = fine_tuned(start, data, contestant.first, **how)
            # The statistics of a wider network, or of larger images, do not fit.
            how |= FitOptions(teacher=taught, new_statistics=True)
            done = fit(contestant.spec, start, data, job.recipe, **how)
        except Diverged as error:
            return Outcome(None, f"diverged: {error}")
        result = done.result
        training = Training(result.accuracy, result.train_s, done.evidence)
        trained = replace(done.checkpoint, from_parent=False)
        content = checkpoint_bytes(trained, also=training.entry(data.task))
        return Outcome(
            result.accuracy, train_s=result.train_s, weights=content, px=data.resolution_px
        )
