"""Batch norm's running statistics in trainings of a few dozen steps."""

import contextlib
from collections.abc import Callable, Iterator

from torch import nn


@contextlib.contextmanager
def unbiased_statistics(module: nn.Module) -> Iterator[Callable[[int], None]]:
    """Keep the initial mean 0 and variance 1 out of the running statistics of a fresh network.

    With a momentum of 0.1 the initial values still weigh 0.9^40 = 1.5% after 40 steps. Where a layer's
    own variance is far below 1 that is most of the sum, layer upon layer: the weights are good and
    the network in eval mode guesses. With momentum max(own, 1 / step) the first steps form a plain
    average, which holds no initial values, and later ones are as ever.

    Yields:
        A function to call before each step with the number of steps done; on leaving, every norm
        has its own momentum back.
    """
    own = {
        norm: norm.momentum
        for norm in module.modules()
        if isinstance(norm, nn.BatchNorm2d) and norm.momentum is not None
    }

    def before_step(steps_done: int) -> None:
        for norm, momentum in own.items():
            norm.momentum = max(momentum, 1 / (steps_done + 1))

    try:
        yield before_step
    finally:
        for norm, momentum in own.items():
            norm.momentum = momentum
