"""The mean of a training's last weights in place of the last ones (Izmailov et al. 2018, algorithm 1)."""

from collections.abc import Iterable, Iterator
from itertools import chain, count, islice

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from nas.data.images import Dataset
from nas.training.augment import augment, normalize
from nas.training.recipe import Recipe

STATISTICS_BATCHES = 20
"""Of training images, for batch norm: about as many as a running average of momentum 0.1 weighs."""


class MeanWeights:
    """Averages a module's weights, all alike, and leaves the module as it is.

    Args:
        module: The weights it has now are the first.
    """

    def __init__(self, module: nn.Module) -> None:
        self._model = AveragedModel(module)
        self.add(module)

    def add(self, module: nn.Module) -> None:
        """Take the weights that the module has now into the mean."""
        self._model.update_parameters(module)

    def network(self, inputs: Iterable[Tensor], *, device: torch.device) -> nn.Module:
        """The network of the mean weights.

        Running statistics of the last weights do not fit the mean, nor does their own mean: where half of a
        hundred steps was averaged it cost one to six points. So batch norm's are taken anew from `inputs`.

        Args:
            inputs: See `statistics_inputs`; on the device.
            device: Where the module is.
        """
        # Dropout draws here too, and must not draw what the training's next step would.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            update_bn(inputs, self._model.module)
        return self._model.module

    def copy_to(self, module: nn.Module) -> None:
        """Give the module the mean weights, and the statistics last taken for them."""
        module.load_state_dict(self._model.module.state_dict())


def statistics_inputs(
    dataset: Dataset, recipe: Recipe, *, seed: int, device: torch.device
) -> Iterator[Tensor]:
    """Batches as in training, normalised (N, 3, H, W); the same ones for the same seed."""
    order = torch.Generator().manual_seed(seed)
    changes = torch.Generator(device).manual_seed(seed + 1)
    passes = (
        dataset.train.batches(recipe.batch_size, generator=order, drop_last=True) for _ in count()
    )
    for images, _ in islice(chain.from_iterable(passes), STATISTICS_BATCHES):
        changed = augment(images.to(device), recipe.augment, generator=changes)
        yield normalize(changed, mean=dataset.mean, std=dataset.std)
