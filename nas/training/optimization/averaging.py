"""Weight averaging: the mean over the last steps (SWA), or an exponential moving average."""

from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from nas.data.images import Dataset
from nas.data.share import WHOLE, Share
from nas.tasks import task_of
from nas.tasks.augmentation.augment import normalize
from nas.training.recipe import Recipe

STATISTICS_BATCHES = 20
"""Training batches to re-estimate batch norm: about what a running average of momentum 0.1 covers."""


class Average(Protocol):
    """An average of a module's weights, which leaves the module as it is."""

    def add(self, module: nn.Module) -> None:
        """Add the module's current weights to the average."""
        ...

    def network(self, inputs: Iterable[Tensor], *, device: torch.device) -> nn.Module:
        """Return a network with the averaged weights.

        Args:
            inputs: Training batches to estimate batch norm statistics from, if the average has none of
                its own: see `statistics_inputs`.
            device: The module's device.
        """
        ...

    def copy_to(self, module: nn.Module) -> None:
        """Copy the averaged weights and their batch norm statistics to a module."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return its state."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        ...


class _Averaged:
    """What both averages share: torch's `AveragedModel`."""

    _model: AveragedModel

    def add(self, module: nn.Module) -> None:
        """Add the module's current weights to the average."""
        self._model.update_parameters(module)

    def copy_to(self, module: nn.Module) -> None:
        """Copy the averaged weights and their batch norm statistics to a module."""
        module.load_state_dict(self._model.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return its state."""
        return self._model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._model.load_state_dict(state)


class MeanWeights(_Averaged):
    """The mean of a module's weights (stochastic weight averaging, Izmailov et al. 2018, algorithm 1).

    Args:
        module: Its current weights are the first.
    """

    def __init__(self, module: nn.Module) -> None:
        self._model = AveragedModel(module)
        self.add(module)

    def network(self, inputs: Iterable[Tensor], *, device: torch.device) -> nn.Module:
        """Return a network with the averaged weights.

        Batch norm statistics of the last weights do not fit the average, nor does the average of the
        statistics: with half of a hundred steps averaged this cost one to six points of accuracy. So they
        are re-estimated from `inputs`.
        """
        # Dropout draws here too, and must not affect the draws of the training's next step.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            update_bn(inputs, self._model.module)
        return self._model.module


class MovingWeights(_Averaged):
    """The exponential moving average of a module's weights and batch norm statistics.

        average = d * average + (1 - d) * weights,  d = min(decay, (1 + t) / (10 + t))

    t is the number of earlier updates. The minimum is that of TensorFlow's `ExponentialMovingAverage` with
    `num_updates`: with 0.9999 alone, the first weights would still dominate after thousands of steps.

    Args:
        module: Its current weights are the first.
        decay: d of a long training.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self._updates = -1  # counted here: reading torch's counter would make a GPU wait every step
        self._model = AveragedModel(module, multi_avg_fn=self._mix, use_buffers=True)
        self.add(module)

    def add(self, module: nn.Module) -> None:
        """Add the module's current weights to the average."""
        super().add(module)
        self._updates += 1

    def network(self, inputs: Iterable[Tensor], *, device: torch.device) -> nn.Module:  # noqa: ARG002
        """Return a network with the averaged weights and statistics; `inputs` are not used."""
        return self._model.module

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        super().load_state_dict(state)
        self._updates = int(self._model.n_averaged) - 1

    def _mix(self, averages: Any, currents: Any, _: Tensor | int) -> None:
        weight = 1 - ema_decay(self._updates, self._decay)
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, weight)
            return
        for average, current in zip(averages, currents, strict=True):  # counters of batches
            average.copy_(current)


def ema_decay(updates: int, decay: float) -> float:
    """Return the decay after this many updates: `min(decay, (1 + t) / (10 + t))`.

    >>> ema_decay(0, 0.9999), ema_decay(89, 0.9999), ema_decay(10**6, 0.9999)
    (0.1, 0.9090909090909091, 0.9999)
    """
    return min(decay, (1 + updates) / (10 + updates))


def statistics_inputs(
    dataset: Dataset, recipe: Recipe, *, seed: int, device: torch.device, share: Share = WHOLE
) -> Iterator[Tensor]:
    """Yield batches as in training, normalized (N, 3, H, W), reproducible by seed."""
    order = torch.Generator().manual_seed(seed)
    changes = torch.Generator(device).manual_seed(seed + 1)
    passes = (
        dataset.train.batches(recipe.batch_size, generator=order, drop_last=True, share=share)
        for _ in count()
    )
    task = task_of(dataset.task)
    for images, targets in islice(chain.from_iterable(passes), STATISTICS_BATCHES):
        changed, _ = task.augmented(
            images.to(device),
            targets.to(device),
            recipe,
            generator=changes,
            size_px=dataset.resolution_px,
            share=share,
        )
        yield normalize(changed, mean=dataset.mean, std=dataset.std)
