"""Average a training's last weights (stochastic weight averaging, Izmailov et al. 2018, algorithm 1)."""

from collections.abc import Iterable, Iterator
from itertools import chain, count, islice

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from nas.data.images import Dataset
from nas.training.augment import augment, normalize
from nas.training.recipe import Recipe

STATISTICS_BATCHES = 20
"""Training batches to re-estimate batch norm: about what a running average of momentum 0.1 covers."""


class MeanWeights:
    """Averages a module's weights, equally weighted, without changing the module.

    Args:
        module: Its current weights are the first.
    """

    def __init__(self, module: nn.Module) -> None:
        self._model = AveragedModel(module)
        self.add(module)

    def add(self, module: nn.Module) -> None:
        """Add the module's current weights to the average."""
        self._model.update_parameters(module)

    def network(self, inputs: Iterable[Tensor], *, device: torch.device) -> nn.Module:
        """Return a network with the averaged weights.

        Batch norm statistics of the last weights do not fit the average, nor does the average of the
        statistics: with half of a hundred steps averaged this cost one to six points of accuracy. So they
        are re-estimated from `inputs`.

        Args:
            inputs: See `statistics_inputs`; on the device.
            device: The module's device.
        """
        # Dropout draws here too, and must not affect the draws of the training's next step.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            update_bn(inputs, self._model.module)
        return self._model.module

    def copy_to(self, module: nn.Module) -> None:
        """Copy the averaged weights, with their re-estimated statistics, to a module."""
        module.load_state_dict(self._model.module.state_dict())


def statistics_inputs(
    dataset: Dataset, recipe: Recipe, *, seed: int, device: torch.device
) -> Iterator[Tensor]:
    """Yield batches as in training, normalized (N, 3, H, W), reproducible by seed."""
    order = torch.Generator().manual_seed(seed)
    changes = torch.Generator(device).manual_seed(seed + 1)
    passes = (
        dataset.train.batches(recipe.batch_size, generator=order, drop_last=True) for _ in count()
    )
    for images, _ in islice(chain.from_iterable(passes), STATISTICS_BATCHES):
        changed = augment(images.to(device), recipe.augment, generator=changes)
        yield normalize(changed, mean=dataset.mean, std=dataset.std)
