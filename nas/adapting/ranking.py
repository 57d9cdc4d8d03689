"""Order the channels of NetAdapt's networks by importance, for `--keep taylor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.engine.folder.run_folder import RunFolder
from search_spaces import ArchSpec

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from netadapt.channel_selection import ChannelOrder

Rank = Callable[[ArchSpec, bytes], "ChannelOrder"]
"""Order the channels of a network with these weights, serialized by `torch.save`; most important first."""


@dataclass(frozen=True)
class Ranking:
    """Orders a network's channels (`nas.checkpoints.importance`), each network's once in a run.

    Attributes:
        seed: The network that the run started from.
        data: Images of its classes, normalized as for it.
        folder: The run's folder, which keeps the orders.
        threads: Number of torch threads; with another number, nearly equal channels might change places.
    """

    seed: Checkpoint
    data: Dataset
    folder: RunFolder
    threads: int

    def __call__(self, spec: ArchSpec, weights: bytes) -> ChannelOrder:
        """See `Rank`."""
        from nas.checkpoints.importance import recorded_order
        from nas.checkpoints.torch_files import state_of, weights_digest
        from nas.training.isolation import threads

        network = replace(self.seed, spec=spec, weights=state_of(weights))
        orders = self.folder / "orders"
        orders.mkdir(exist_ok=True)
        with threads(self.threads):
            return recorded_order(
                orders / f"{weights_digest(network.weights)}.pt", network, self.data
            )
