"""Metric and loss of a network on one split."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from nas.data.images import Split
from nas.data.share import WHOLE, Share
from nas.tasks import CLASSIFY, task_of
from nas.tasks.augmentation.augment import normalize
from nas.tasks.outputs import Outputs, spec_of
from nas.tasks.task import Evidence, Score
from nas.training.data_parallel.reductions import gathered
from nas.training.machine.half import autocast
from nas.training.machine.memory import is_out_of_memory
from nas.training.recipe import HalfPrecision

MOST_IMAGES, MOST_PIXELS = 256, 256 * 128 * 128
"""Evaluated at once: activations of a large image need hundreds of megabytes."""


class Options(TypedDict, total=False):
    """Optional arguments of `evidence`, for functions that pass them on."""

    task: str
    batch_size: int | None
    device: torch.device | str
    half: HalfPrecision
    share: Share


def evaluate(
    module: nn.Module,
    split: Split,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    **options: Unpack[Options],
) -> Score:
    """Compute the task's metric and loss; for the arguments see `evidence`."""
    return evidence(module, split, mean=mean, std=std, **options).score()


@torch.no_grad()
def evidence(
    module: nn.Module,
    split: Split,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    task: str = CLASSIFY,
    batch_size: int | None = None,
    device: torch.device | str = "cpu",
    half: HalfPrecision = False,
    share: Share = WHOLE,
) -> Evidence:
    """Return what a network does on each image, in eval mode; the module's mode is restored.

    Args:
        module: On `device`; float32 (N, 3, H, W) -> outputs, such as logits (N, classes).
        split: The images.
        mean: Per channel, as in training.
        std: Per channel, as in training.
        task: Name of what the network has learned; see `nas.tasks.task_of`.
        batch_size: Affects speed, and results only by rounding; by default at most 256, and fewer of large
            images. If memory runs out, it is halved.
        device: The module's device.
        half: As in `Recipe.autocast`.
        share: This process's part of every batch; the evidence is that of all processes, one after another.
    """
    device = torch.device(device)
    was_training = module.training
    module.eval()
    meter = task_of(task).meter(spec=spec_of(module))
    fitting = batch_size or MOST_IMAGES
    for images, targets in split.batches(fitting, share=share):
        if batch_size is None:
            fitting = min(fitting, max(1, MOST_PIXELS // (images.shape[-2] * images.shape[-1])))
        done = 0
        while done < len(images):  # the last batch may have fewer images than there are processes
            part = slice(done, done + fitting)
            inputs = normalize(images[part].to(device), mean=mean, std=std)
            outputs = _outputs(module, inputs, half)
            if outputs is None:
                fitting = _halved(fitting)
                continue
            meter.add(outputs, targets[part].to(device))
            done += fitting
    module.train(was_training)
    first, *others = gathered(meter.evidence(), share)
    return first.joined(others)


def _outputs(module: nn.Module, inputs: Tensor, half: HalfPrecision) -> Outputs | None:
    """Return a network's outputs; None if memory ran out."""
    try:
        with autocast(half, inputs.device):
            outputs: Outputs = module(inputs)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None
    return outputs


def _halved(fitting: int) -> int:
    if fitting == 1:
        raise MemoryError("evaluating a single image does not fit into memory")
    return fitting // 2
