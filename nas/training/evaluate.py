"""Accuracy and loss of a trained network on one split."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from nas.data.images import Split
from nas.training.augment import normalize


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
    autocast: bool = False,
) -> Score:
    """Count how often the largest logit is the label, in eval mode; the module's mode is put back.

    Args:
        module: on `device`; float32 (N, 3, H, W) -> logits (N, classes).
        split: what to evaluate on, every image of it once.
        mean: per channel, as in training.
        std: per channel, as in training.
        batch_size: images a step; changes speed, not the result beyond rounding.
        device: where the module is.
        autocast: bfloat16 where the device is a CUDA one.
    """
    device = torch.device(device)
    was_training = module.training
    module.eval()
    # Sums stay on the device: reading them for every batch would stop a GPU.
    correct = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for images, labels in split.batches(batch_size):
        inputs = normalize(images.to(device), mean=mean, std=std)
        targets = labels.to(device)
        with torch.autocast("cuda", torch.bfloat16, enabled=autocast and device.type == "cuda"):
            logits = module(inputs)  # (N, classes)
        loss += functional.cross_entropy(logits.float(), targets, reduction="sum")
        correct += (logits.argmax(dim=1) == targets).sum()
    module.train(was_training)
    return Score(correct.item() / len(split), loss.item() / len(split))
