"""Mixup and CutMix: each image and its label are mixed with another of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.randomness import global_seed
from nas.tasks.settings import Augment


def mix(
    images: Tensor, labels: Tensor, settings: Augment, *, classes: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Mix a batch by torchvision's MixUp or CutMix; if both are on, either with the same probability.

    Args:
        images: (N, 3, H, W), pixels in 0..255.
        labels: int64 (N,).
        settings: `mixup` and `cutmix` are the alphas.
        classes: Number of classes.
        seed: Seed of the draws.

    Returns:
        The images, and the targets: probabilities (N, classes), or the labels if nothing is mixed.
    """
    from torchvision.transforms import v2

    kinds: list[torch.nn.Module] = []
    if settings.mixup:
        kinds.append(v2.MixUp(alpha=settings.mixup, num_classes=classes))
    if settings.cutmix:
        kinds.append(v2.CutMix(alpha=settings.cutmix, num_classes=classes))
    if not kinds:
        return images, labels
    with global_seed(seed):
        mixed, targets = v2.RandomChoice(kinds)(images, labels)
    return mixed, targets
