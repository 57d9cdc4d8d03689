"""Running statistics of batch norm: of short trainings, and of networks without any training."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def unbiased_statistics(module: nn.Module) -> Iterator[Callable[[int], bool]]:
    """Keep the initial mean 0 and variance 1 out of the running statistics of a new network.

    With a momentum of 0.1 the initial values still have a weight of 0.9^40 = 1.5% after 40 steps. In a
    layer with a variance far below 1 they dominate the sum, and errors compound over layers: with good
    weights the network guesses in eval mode. With momentum max(own, 1 / step) the first steps form a plain
    average without the initial values; later ones are unchanged.

    Yields:
        A function to call before each step with the number of finished steps; it returns whether every
        norm has its own momentum. On exit, the original momentum of every norm is restored.
    """
    own = {
        norm: norm.momentum
        for norm in module.modules()
        if isinstance(norm, nn.BatchNorm2d) and norm.momentum is not None
    }

    def before_step(steps_done: int) -> bool:
        for norm, momentum in own.items():
            norm.momentum = max(momentum, 1 / (steps_done + 1))
        return all(norm.momentum == momentum for norm, momentum in own.items())

    try:
        yield before_step
    finally:
        for norm, momentum in own.items():
            norm.momentum = momentum


@torch.no_grad()
def retake_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of every batch norm by their plain average over some batches.

    Afterwards the module is in eval mode, and the momenta are what they were.

    Args:
        module: Its inherited statistics may be of other channels or another resolution.
        batches: Inputs, each (N, 3, H, W), normalized; at least one.
    """
    norms = [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
    module.train()
    for inputs in batches:
        module(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()
