"""Fine-tune sub-networks: a trial briefly, a finalist for longer, both from the parent's weights."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Self

from nas.data.share import WHOLE, Share
from nas.engine.job import RIVAL, RIVAL_RUNG, Job, Outcome
from nas.searching.from_parent.parent import Parent
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.training.teacher import Teacher

LOOK_IMAGES = 512
"""Training images for the batch norm statistics of a look."""

LOOK_SIZE = 64
"""Batch size of a look."""

LONG = frozenset({"final", RIVAL})
"""Kinds of job that train by the final recipe, and keep their weights."""


@dataclass(frozen=True)
class Heritage:
    """What sub-networks begin with and learn from. Picklable.

    Attributes:
        parent: The network to inherit from.
        images: The images at each resolution, in pixels.
        teacher: A network to learn from beside the labels.
    """

    parent: Parent
    images: Mapping[int, Dataset]
    teacher: Teacher | None = None


@dataclass(frozen=True)
class Guest:
    """A trained network that is compared with sub-networks of the parent, and inherits nothing. Picklable.

    Attributes:
        weights: Its state dict.
        mean: Per channel, of pixels in 0..1.
        std: Per channel, of pixels in 0..1.
        recipe: How it is fine-tuned first, as the parent was; None if it was trained on these classes.
    """

    weights: Mapping[str, torch.Tensor]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    recipe: Recipe | None

    @classmethod
    def of(cls, checkpoint: Checkpoint, classes: tuple[str, ...], recipe: Recipe | None) -> Self:
        """Return a checkpoint's network, with a new classifier unless it has these classes, so ordered."""
        usage = checkpoint.usage
        fits = usage.named and usage.classes == classes
        fitting = checkpoint if fits else checkpoint.with_classes(classes)
        return cls(fitting.weights, usage.mean, usage.std, None if fits else recipe)


@dataclass(frozen=True)
class SubNetworkTraining:
    """Fine-tunes the sub-networks of a parent, each at its own resolution. Picklable.

    Batch norm's statistics are taken anew: those of the parent do not fit fewer channels or another
    resolution.

    Attributes:
        trials: What trials begin with.
        finals: What finalists and their rivals begin with.
        recipe: Training recipe of trials.
        final_recipe: Training recipe of finalists and their rivals.
        guests: Rivals that are no sub-networks, by index.
        rung: Recipe of the short trainings, with multi-fidelity; None only looks.
        device: `cpu`, `cuda`, or `auto` for the GPU if the worker has one.
        threads: Number of torch threads.
        share: This process's part of every batch, if several train a job together.
    """

    trials: Heritage
    finals: Heritage
    recipe: Recipe
    final_recipe: Recipe
    guests: Mapping[int, Guest] = field(default_factory=dict)
    rung: Recipe | None = None
    device: str = "auto"
    threads: int = 1
    share: Share = WHOLE

    def __call__(self, job: Job) -> Outcome:
        """Fine-tune a job's network; deterministic on the same kind of device."""
        from nas.checkpoints.torch_files import state_bytes
        from nas.training.machine.device import worker_device
        from nas.training.train import Diverged, train
        from search_spaces.network import build

        device = worker_device(self.device, threads=self.threads)
        begins = self.finals if job.kind in LONG else self.trials
        guest = self.guests.get(job.index) if job.kind == RIVAL else None
        network, data = build(job.spec), begins.images[job.spec.resolution]
        if guest is None:
            network.load_state_dict(begins.parent.state_dict(job.spec))
        else:
            network.load_state_dict(guest.weights)
            data = replace(data, mean=guest.mean, std=guest.std)
        began_s = time.perf_counter()  # includes the evaluation
        recipe = self._recipe(job)
        if recipe is None:
            accuracy = _look(network.to(device), data, batch_size=LOOK_SIZE)
            took_s = time.perf_counter() - began_s
            return Outcome(accuracy, train_s=took_s, px=data.resolution_px)
        tune = partial(
            train, network, data, device=device, seed=job.seed, share=self.share, from_scratch=False
        )
        try:
            if guest is not None and guest.recipe is not None:
                tune(guest.recipe)
            result = tune(recipe, teacher=begins.teacher, new_statistics=True)
        except Diverged as error:
            return Outcome(None, f"diverged: {error}")
        took_s = time.perf_counter() - began_s
        weights = state_bytes(network.state_dict()) if job.kind in LONG else None
        return Outcome(result.accuracy, train_s=took_s, weights=weights, px=data.resolution_px)

    def _recipe(self, job: Job) -> Recipe | None:
        if job.kind in ("rung", RIVAL_RUNG):
            return self.rung
        return self.final_recipe if job.kind in LONG else self.recipe


def _look(network: nn.Module, data: Dataset, *, batch_size: int) -> float:
    """Return the held-out accuracy of inherited weights, with batch norm's statistics taken anew."""
    import torch

    from nas.training.batch_norm import retake_statistics
    from nas.training.evaluate import evaluate
    from nas.training.inputs import training_inputs

    device = next(network.parameters()).device
    network.to(memory_format=torch.channels_last)
    seen = training_inputs(data, images=LOOK_IMAGES, batch_size=batch_size, device=device)
    retake_statistics(network, (inputs for inputs, _ in seen))
    score = evaluate(network, data.val, mean=data.mean, std=data.std, task=data.task, device=device)
    return score.accuracy
