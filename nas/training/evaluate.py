"""Accuracy and loss of a network on one split."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from nas.data.images import Split
from nas.data.share import WHOLE, Share
from nas.training.augmentation.augment import normalize
from nas.training.data_parallel.reductions import summed
from nas.training.machine.half import autocast
from nas.training.recipe import HalfPrecision


class Score(NamedTuple):
    """Top-1 accuracy in 0..1 and mean cross entropy in nats."""

    accuracy: float
    loss: float


@torch.no_grad()
def evaluate(
    module: nn.Module,
    split: Split,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    half: HalfPrecision = False,
    share: Share = WHOLE,
) -> Score:
    """Compute top-1 accuracy and loss, in eval mode; the module's mode is restored.

    Args:
        module: On `device`; float32 (N, 3, H, W) -> logits (N, classes).
        split: The images.
        mean: Per channel, as in training.
        std: Per channel, as in training.
        batch_size: Affects speed, and results only by rounding.
        device: The module's device.
        half: As in `Recipe.autocast`.
        share: This process's part of every batch; the score is that of all of them.
    """
    device = torch.device(device)
    was_training = module.training
    module.eval()
    # Sums stay on the device: reading them every batch would stall a GPU.
    sums = torch.zeros(2, dtype=torch.float64, device=device)  # correct answers, loss
    for images, labels in split.batches(batch_size, share=share):
        if len(images) == 0:  # the last batch may have fewer images than there are processes
            continue
        inputs = normalize(images.to(device), mean=mean, std=std)
        targets = labels.to(device)
        with autocast(half, device):
            logits = module(inputs)  # (N, classes)
        sums[0] += (logits.argmax(dim=1) == targets).sum()
        sums[1] += functional.cross_entropy(logits.float(), targets, reduction="sum")
    module.train(was_training)
    correct, loss = (summed(sums, share) / len(split)).tolist()
    return Score(correct, loss)
