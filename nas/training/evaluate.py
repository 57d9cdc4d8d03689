"""Accuracy and loss of a network on one split."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from nas.data.images import Split
from nas.training.augmentation.augment import normalize


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
    """Compute top-1 accuracy and loss, in eval mode; the module's mode is restored.

    Args:
        module: On `device`; float32 (N, 3, H, W) -> logits (N, classes).
        split: The images.
        mean: Per channel, as in training.
        std: Per channel, as in training.
        batch_size: Affects speed, and results only by rounding.
        device: The module's device.
        autocast: bfloat16 on CUDA devices.
    """
    device = torch.device(device)
    was_training = module.training
    module.eval()
    # Sums stay on the device: reading them every batch would stall a GPU.
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
