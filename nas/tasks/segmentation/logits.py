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
        logits: (N, classes, h, w), of any floating type.
        masks: uint8 (N, H, W).
        smoothing: Fraction of the target spread evenly over classes.

    Returns:
        The sum, and the number of pixels that it is of.
    """
    full = _enlarged_by_products(logits.float(), masks.shape[-2:])
    summed = functional.cross_entropy(
        full, masks.long(), ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
    )
    return summed, (masks != IGNORED).sum()


def _enlarged_by_products(logits: Tensor, size: torch.Size) -> Tensor:
    """Enlarge as `enlarged` does, by two matrix products: their gradients take half of the time."""
    if logits.shape[-2:] == size:
        return logits
    down, across = (
        _weights(*sides, logits.device) for sides in zip(logits.shape[-2:], size, strict=True)
    )
    return down.T @ (logits @ across)


def _weights(small: int, large: int, device: torch.device) -> Tensor:
    """Return what each of `small` places gives to each of `large` ones, float32 (small, large)."""
    unit = torch.eye(small, device=device)
    return functional.interpolate(unit[None], size=large, mode="linear")[0]


def parts(logits: Tensor, masks: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a batch into parts of one image or more whose enlarged logits fit into memory, if they can."""
    height, width = masks.shape[-2:]
    count = max(1, AT_ONCE // (logits.shape[1] * height * width))
    for start in range(0, len(masks), count):
        yield logits[start : start + count], masks[start : start + count]


def strips(logits: Tensor, masks: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Enlarge logits (N, classes, h, w) to their masks (N, H, W), in strips of rows that fit into memory.

    Yields:
        Enlarged logits (N, classes, rows, W), and the same rows of the masks.
    """
    height, width = masks.shape[-2:]
    count = max(1, AT_ONCE // (len(logits) * logits.shape[1] * width))
    if count >= height:
        yield enlarged(logits, masks.shape[-2:]), masks
        return
    for start in range(0, height, count):
        stop = min(start + count, height)
        rows = _rows(logits, start, stop, of=height)
        yield enlarged(rows, (stop - start, width)), masks[:, start:stop]


def _rows(logits: Tensor, start: int, stop: int, *, of: int) -> Tensor:
    """Enlarge in height only, to `of` rows, of which those from `start` to `stop` are computed."""
    small = logits.shape[-2]
    centers = (torch.arange(start, stop, device=logits.device) + 0.5) * small / of - 0.5
    centers = centers.clamp(0, small - 1)
    above = centers.floor().long()
    below = (above + 1).clamp(max=small - 1)
    weights = (centers - above)[:, None]  # (rows, 1)
    return logits[..., above, :] * (1 - weights) + logits[..., below, :] * weights
