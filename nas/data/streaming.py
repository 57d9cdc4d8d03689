"""A split that decodes while it is read, for data sets that do not fit in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nas.data.image_files.decode import Pictures, decode
from nas.data.image_files.pictures import labels_of_pictures
from nas.data.image_files.preparation import PLAIN, Preparation
from nas.data.image_files.unreadable import UnreadableError
from nas.data.images import Batch, batch_indices
from nas.data.share import WHOLE, Share
from nas.short_folder import shorten_sockets
from search_spaces.errors import InputError


@dataclass(frozen=True)
class StreamingSplit:
    """Pictures decoded in worker processes, with the same batches as `ArraySplit`.

    Attributes:
        pictures: The images.
        resolution_px: Height and width of the decoded images.
        workers: Processes that decode; 0 decodes in the caller.
        preparation: How they are decoded.
        target_px: Height and width of masks, if targets are masks; None is the images'.
    """

    pictures: Pictures
    resolution_px: int
    workers: int = 2
    preparation: Preparation = PLAIN
    target_px: int | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Class index of every image, (N,); None if the targets are not classes."""
        return labels_of_pictures(self.pictures)

    def batches(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
        skip: int = 0,
        share: Share = WHOLE,
    ) -> Iterator[Batch]:
        """Iterate over the split once; see `Split.batches`.

        Raises:
            UnreadableError: An image cannot be read, which is found only when its batch is due.
            InputError: A process that decodes has died.
        """
        order = batch_indices(len(self), batch_size, generator=generator, drop_last=drop_last)
        shorten_sockets()
        loader = DataLoader(
            _DecodedBatches(self),
            sampler=[whole[share.part(len(whole))] for whole in order[skip:]],
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_unchanged,
            # The loader draws a seed for its workers; keep it off torch's global generator.
            generator=torch.Generator(),
        )
        batches = iter(loader)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                raise InputError(
                    "a process that decodes images has died, perhaps for lack of (shared) memory: give "
                    "--decoding-workers 0, a smaller batch, or docker run --shm-size 2g"
                ) from error
            if isinstance(batch, UnreadableError):
                raise batch
            yield batch


class _DecodedBatches(TorchDataset[Batch | UnreadableError]):
    """Maps batch indices to tensors; returns errors as values, because raising adds a traceback."""

    def __init__(self, split: StreamingSplit) -> None:
        self._split = split

    def __getitem__(self, chosen: NDArray[np.int64]) -> Batch | UnreadableError:
        split = self._split
        try:
            images = [
                decode(
                    split.pictures,
                    index,
                    size_px=split.resolution_px,
                    preparation=split.preparation,
                )
                for index in chosen.tolist()
            ]
            targets = split.pictures.targets(
                chosen,
                size_px=split.target_px or split.resolution_px,
                preparation=split.preparation,
            )
        except UnreadableError as error:
            return UnreadableError(error.found)
        side = split.resolution_px
        # A process's part of the last batch may be empty.
        stacked = np.stack(images) if images else np.empty((0, 3, side, side), np.uint8)
        return torch.from_numpy(stacked), torch.from_numpy(targets)


def _unchanged(batch: Any) -> Any:
    return batch
