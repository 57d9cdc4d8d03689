"""What a training step minimizes: the loss of an augmented batch against its targets and a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.images import Dataset
from nas.data.share import WHOLE, Share
from nas.randomness import CHANGES, MIXING, derived_seed, generator
from nas.tasks import task_of
from nas.tasks.augmentation.augment import normalize
from nas.tasks.outputs import Outputs, as_floats
from nas.training.machine.half import autocast
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher
from search_spaces import ArchSpec

Forward = Callable[[Tensor], Outputs]
"""A network: normalized images (N, 3, px, px) -> its outputs, such as logits (N, classes)."""


@dataclass(frozen=True)
class Objective:
    """The loss of a training's steps; a step's random numbers are a function of the seed and the step.

    Attributes:
        dataset: Its task, its normalization and its classes are used.
        recipe: Augmentation and what else the task reads.
        seed: Seed of the training.
        device: Where to compute.
        teacher: A network to learn from beside the targets.
        share: This process's part of every batch. Mixing takes its partners from that part.
        spec: The network's, if known: it says how to read the outputs.
    """

    dataset: Dataset
    recipe: Recipe
    seed: int
    device: torch.device
    teacher: Teacher | None = None
    share: Share = WHOLE
    spec: ArchSpec | None = None

    def prepared(
        self, images: Tensor, targets: Tensor, *, step: int, px: int | None
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch, on the device.

        Args:
            images: uint8 (N, 3, S, S), as they were read.
            targets: (N, ...), as they were read.
            step: Finished steps.
            px: Side to train at; None is S.

        Returns:
            Pixels 0..255 (N, 3, px, px), and their targets.
        """
        task = task_of(self.dataset.task)
        pixels, changed = task.augmented(
            self._moved(images),
            self._moved(targets),
            self.recipe,
            generator=generator(self.seed, CHANGES, step, self.device),
            size_px=px,
            share=self.share,
        )
        return task.mixed(
            pixels,
            changed,
            self.recipe,
            classes=len(self.dataset.classes),
            seed=derived_seed(self.seed, MIXING, step),
        )

    def loss(self, forward: Forward, pixels: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of prepared images.

        Args:
            forward: The network.
            pixels: See `prepared`.
            targets: See `prepared`.
        """
        inputs = normalize(pixels, mean=self.dataset.mean, std=self.dataset.std)
        with autocast(self.recipe.autocast, self.device):
            outputs = as_floats(forward(inputs))
        task, teacher = task_of(self.dataset.task), self.teacher
        loss = task.loss(outputs, targets, self.recipe, spec=self.spec)
        if teacher is None:
            return loss
        with autocast(self.recipe.autocast, self.device):
            taught = teacher.outputs(pixels)
            distilled = task.distilled(outputs, taught, temperature=teacher.temperature)
        return torch.lerp(loss, distilled, teacher.weight)

    def _moved(self, tensor: Tensor) -> Tensor:
        # Only copies from pinned memory overlap with a GPU's work.
        pinned = tensor.pin_memory() if self.device.type == "cuda" else tensor
        return pinned.to(self.device, non_blocking=True)
