"""Logits of a segmentation network, whose maps are smaller than its images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.masks.coding import IGNORED

AT_ONCE = 2**24
"""Maximum number of logits that are enlarged at once: 64 MB."""


def enlarged(logits: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Enlarge logits (N, classes, h, w) bilinearly to `size`, the height and width of their images."""
    if logits.shape[-2:] == size:
        return logits
    return functional.interpolate(logits, size=tuple(size), mode="bilinear")


def cross_entropy(
    logits: Tensor, masks: Tensor, *, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Sum the cross entropy of pixels, in nats; ignored pixels count nothing.

    Args:
        logits: float32 (N, classes, h, w).
        masks: uint8 (N, H, W).
        smoothing: Fraction of the target spread evenly over classes.

    Returns:
        The sum, and the number of pixels that it is of.
    """
    full = enlarged(logits, masks.shape[-2:])
    summed = functional.cross_entropy(
        full, masks.long(), ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
    )
    return summed, (masks != IGNORED).sum()


def parts(logits: Tensor, masks: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a batch into parts whose enlarged logits fit into memory."""
    height, width = masks.shape[-2:]
    count = max(1, AT_ONCE // (logits.shape[1] * height * width))
    for start in range(0, len(masks), count):
        yield logits[start : start + count], masks[start : start + count]
