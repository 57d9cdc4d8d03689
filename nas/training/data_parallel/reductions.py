"""Sums, means and lists over the processes of a training."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from nas.data.share import Share

T = TypeVar("T")


def summed(tensor: Tensor, share: Share) -> Tensor:
    """Add up a tensor over all processes, in place."""
    if share.world > 1:
        distributed.all_reduce(tensor)
    return tensor


def gathered(item: T, share: Share) -> list[T]:
    """Return the items of all processes, in their order; they are pickled, so hold no tensors of a GPU."""
    if share.world == 1:
        return [item]
    every: list[T] = [item] * share.world
    distributed.all_gather_object(every, item)
    return every


def average_gradients(module: nn.Module, loss: Tensor, share: Share) -> Tensor:
    """Average gradients and loss over all processes, in one message.

    The loss of a batch is the mean over its images, and every process has as many of them: the mean of
    their gradients is the gradient of the whole batch.

    `DistributedDataParallel` would send gradients while others are still computed, but it cannot follow
    layers that are frozen at first. The gradients of a mobile network are a few megabytes.

    Args:
        module: Its gradients are replaced.
        loss: This process's, a scalar.
        share: This process's part.

    Returns:
        The loss of the whole batch, a scalar.
    """
    if share.world == 1:
        return loss
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), loss.reshape(1)])
    summed(flat, share).div_(share.world)
    sizes = [gradient.numel() for gradient in gradients]
    *parts, mean = torch.split(flat, [*sizes, 1])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return mean.squeeze(0)
