"""What a training step minimizes: the loss of an augmented batch against its labels and a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.images import Dataset
from nas.data.share import WHOLE, Share
from nas.randomness import CHANGES, MIXING, derived_seed, generator
from nas.tasks.augmentation.augment import augment, normalize
from nas.tasks.augmentation.mixing import mix
from nas.training.machine.half import autocast
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher

Forward = Callable[[Tensor], Tensor]
"""A network: normalized images (N, 3, px, px) -> logits (N, classes)."""


@dataclass(frozen=True)
class Objective:
    """The loss of a training's steps; a step's random numbers are a function of the seed and the step.

    Attributes:
        dataset: Its normalization and its classes are used.
        recipe: Augmentation and label smoothing.
        seed: Seed of the training.
        device: Where to compute.
        teacher: A network to learn from beside the labels.
        share: This process's part of every batch. Mixing takes its partners from that part.
    """

    dataset: Dataset
    recipe: Recipe
    seed: int
    device: torch.device
    teacher: Teacher | None = None
    share: Share = WHOLE

    def prepared(
        self, images: Tensor, labels: Tensor, *, step: int, px: int | None
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch, on the device.

        Args:
            images: uint8 (N, 3, S, S), as they were read.
            labels: int64 (N,).
            step: Finished steps.
            px: Side to train at; None is S.

        Returns:
            Pixels 0..255 (N, 3, px, px), and labels (N,) or probabilities (N, classes).
        """
        settings = self.recipe.augment
        draws = generator(self.seed, CHANGES, step, self.device)
        pixels = augment(
            self._moved(images), settings, generator=draws, size_px=px, share=self.share
        )
        targets = self._moved(labels)
        if settings.mixup or settings.cutmix:
            pixels, targets = mix(
                pixels.float(),
                targets,
                settings,
                classes=len(self.dataset.classes),
                seed=derived_seed(self.seed, MIXING, step),
            )
        return pixels, targets

    def loss(self, forward: Forward, pixels: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of prepared images.

        Args:
            forward: Normalized images (N, 3, px, px) -> logits (N, classes).
            pixels: See `prepared`.
            targets: See `prepared`.
        """
        inputs = normalize(pixels, mean=self.dataset.mean, std=self.dataset.std)
        with autocast(self.recipe.autocast, self.device):
            logits = forward(inputs).float()  # (N, classes)
        smoothing = self.recipe.label_smoothing
        loss = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        if self.teacher is None:
            return loss
        with autocast(self.recipe.autocast, self.device):
            distilled = self.teacher.loss(logits, pixels)
        return torch.lerp(loss, distilled, self.teacher.weight)

    def _moved(self, tensor: Tensor) -> Tensor:
        # Only copies from pinned memory overlap with a GPU's work.
        pinned = tensor.pin_memory() if self.device.type == "cuda" else tensor
        return pinned.to(self.device, non_blocking=True)
