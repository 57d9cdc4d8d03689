"""Some training images as a network sees them, without augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from nas.tasks.augmentation.augment import normalize

if TYPE_CHECKING:
    from nas.data.images import Dataset


def training_inputs(
    data: Dataset, *, images: int, batch_size: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the first whole batches of a fixed shuffle of the training images.

    Args:
        data: The images; those of train may be stored larger than the others.
        images: Their number, at most; at least one batch is yielded.
        batch_size: Images at once, at most.
        device: Where to put them.

    Yields:
        Normalized inputs (N, 3, px, px) and labels (N,).
    """
    px, size = data.resolution_px, min(batch_size, len(data.train))
    shuffled = torch.Generator().manual_seed(0)
    batches = data.train.batches(size, generator=shuffled, drop_last=True)
    for pixels, labels in islice(batches, max(1, images // size)):
        inputs = normalize(pixels.to(device), mean=data.mean, std=data.std)
        if inputs.shape[-1] != px:
            inputs = functional.interpolate(
                inputs, size=(px, px), mode="bilinear", antialias=True, align_corners=False
            )
        yield inputs, labels.to(device)
