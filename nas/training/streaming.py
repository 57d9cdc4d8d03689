"""A split that decodes while it is read, for data sets that do not fit in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nas.short_folder import shorten_sockets
from nas.training.decode import Pictures, decode
from nas.training.images import Batch, batch_indices
from search_spaces.errors import InputError


@dataclass(frozen=True)
class StreamingSplit:
    """Pictures decoded in worker processes; the same batches as `ArraySplit` gives.

    Attributes:
        pictures: what to decode.
        resolution_px: height and width of the images.
        workers: processes that decode; 0 decodes in the caller.
    """

    pictures: Pictures
    resolution_px: int
    workers: int = 2

    def __len__(self) -> int:
        return len(self.pictures.labels)

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, drop_last: bool = False
    ) -> Iterator[Batch]:
        """Go through the split once; see `Split.batches`.

        Raises:
            InputError: an image cannot be read; it is found only when its batch is due.
        """
        order = batch_indices(len(self), batch_size, generator=generator, drop_last=drop_last)
        shorten_sockets()
        loader = DataLoader(
            _DecodedBatches(self.pictures, self.resolution_px),
            sampler=order,
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_unchanged,
            # The loader draws a seed for its workers: not from torch's global generator.
            generator=torch.Generator(),
        )
        for batch in loader:
            if isinstance(batch, InputError):
                raise batch
            yield batch


class _DecodedBatches(TorchDataset[Batch | InputError]):
    """Maps a batch's indices to its tensors; an error is a value: raised, it gains a traceback."""

    def __init__(self, pictures: Pictures, resolution_px: int) -> None:
        self._pictures = pictures
        self._resolution_px = resolution_px

    def __getitem__(self, chosen: NDArray[np.int64]) -> Batch | InputError:
        try:
            images = [
                decode(self._pictures, index, size_px=self._resolution_px)
                for index in chosen.tolist()
            ]
        except InputError as error:
            return InputError(str(error))
        return torch.from_numpy(np.stack(images)), _labels(self._pictures, chosen)


def _labels(pictures: Pictures, chosen: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(pictures.labels[chosen])


def _unchanged(batch: Any) -> Any:
    return batch
