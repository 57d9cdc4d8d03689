"""Accuracy and loss of a network on one split."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from nas.data.images import Split
from nas.data.share import WHOLE, Share
from nas.tasks.augmentation.augment import normalize
from nas.training.data_parallel.reductions import summed
from nas.training.machine.half import autocast
from nas.training.machine.memory import is_out_of_memory
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
        batch_size: Affects speed, and results only by rounding. If memory runs out, it is halved.
        device: The module's device.
        half: As in `Recipe.autocast`.
        share: This process's part of every batch; the score is that of all of them.
    """
    device = torch.device(device)
    was_training = module.training
    module.eval()
    # Sums stay on the device: reading them every batch would stall a GPU.
    sums = torch.zeros(2, dtype=torch.float64, device=device)  # correct answers, loss
    fitting = batch_size
    for images, labels in split.batches(batch_size, share=share):
        done = 0
        while done < len(images):  # the last batch may have fewer images than there are processes
            part = slice(done, done + fitting)
            inputs = normalize(images[part].to(device), mean=mean, std=std)
            found = _sums(module, inputs, labels[part].to(device), half)
            if found is None:
                fitting = _halved(fitting)
                continue
            sums += found
            done += fitting
    module.train(was_training)
    correct, loss = (summed(sums, share) / len(split)).tolist()
    return Score(correct, loss)


@torch.no_grad()
def correct_answers(
    module: nn.Module,
    split: Split,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = 256,
) -> NDArray[np.bool_]:
    """Return whether each image is classified correctly, (N,), in the split's order; on the CPU.

    Args:
        module: In eval mode or not; float32 (N, 3, H, W) -> logits (N, classes).
        split: The images.
        mean: Per channel, as in training.
        std: Per channel, as in training.
        batch_size: Images at once.
    """
    module.eval()
    parts = [
        module(normalize(images, mean=mean, std=std)).argmax(dim=1) == labels
        for images, labels in split.batches(batch_size)
    ]
    return torch.cat(parts).numpy()


def _sums(module: nn.Module, inputs: Tensor, targets: Tensor, half: HalfPrecision) -> Tensor | None:
    """Return the number of correct answers and the summed loss; None if memory ran out."""
    try:
        with autocast(half, inputs.device):
            logits = module(inputs)  # (N, classes)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None
    correct = (logits.argmax(dim=1) == targets).sum()
    return torch.stack(
        [correct, functional.cross_entropy(logits.float(), targets, reduction="sum")]
    )


def _halved(fitting: int) -> int:
    if fitting == 1:
        raise MemoryError("evaluating a single image does not fit into memory")
    return fitting // 2
