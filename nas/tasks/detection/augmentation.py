"""Random crops, zooms, mirroring and colors of annotated images, by torchvision's transforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from nas.data.annotations.rows import COLUMNS, PADDING_CLASS
from nas.randomness import global_seed
from nas.tasks.augmentation.draws import Draws
from nas.tasks.settings import DetectSettings

LEAST_SIDE = 2 / 320
"""Boxes of a shorter side, as a fraction of the image's, are dropped: what a crop leaves of an object."""

GRAY = 114
"""Around an image that is zoomed out, as in YOLO."""


def transforms(settings: DetectSettings, *, flip: bool, size_px: int) -> nn.Module:
    """Return what happens to one image and its boxes, in the order of SSD's paper (section 2.2)."""
    steps: list[nn.Module] = []
    if settings.distort:
        steps.append(v2.RandomPhotometricDistort(p=settings.distort))
    if settings.zoom_out:
        steps.append(v2.RandomZoomOut(fill=GRAY, side_range=(1, 2), p=settings.zoom_out))
    if settings.crop:
        steps.append(v2.RandomIoUCrop())
    steps.append(v2.Resize((size_px, size_px), antialias=True))
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    least_px = max(1.0, LEAST_SIDE * size_px)
    steps.append(v2.SanitizeBoundingBoxes(min_size=least_px, labels_getter=_labels))
    composed: nn.Module = v2.Compose(steps)
    return composed


def _labels(inputs: tuple[Tensor, dict[str, Tensor]]) -> Tensor:
    return inputs[1]["rest"]


def augmented(
    images: Tensor, targets: Tensor, change: nn.Module, *, size_px: int, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Change each image of a batch, and its boxes with it.

    Args:
        images: uint8 (N, 3, S, S); not modified.
        targets: (N, M, 6); see `annotations.rows`; not modified.
        change: From `transforms`.
        size_px: Side of the results.
        draws: Seed torch's global generator for each image, which the transforms draw from.

    Returns:
        uint8 (N, 3, size_px, size_px), channels last in memory, and targets (N, M, 6).
    """
    pixels = images.new_empty((len(images), 3, size_px, size_px))
    changed = torch.zeros_like(targets)
    changed[:, :, 0] = PADDING_CLASS
    for index, seed in enumerate(draws.below(2**62).tolist()):
        rows = targets[index][targets[index, :, 0] != PADDING_CLASS]
        with global_seed(seed):
            pixels[index], rows = _one(images[index], rows, change)
        changed[index, : len(rows)] = rows
    return pixels.contiguous(memory_format=torch.channels_last), changed


def _one(image: Tensor, rows: Tensor, change: nn.Module) -> tuple[Tensor, Tensor]:
    """Change one image (3, S, S) and its objects (m, 6)."""
    side = image.shape[-1]
    boxes = tv_tensors.BoundingBoxes(rows[:, 1:5] * side, format="XYXY", canvas_size=(side, side))
    rest = rows[:, [0, 5]]
    pixels, found = change(tv_tensors.Image(image), {"boxes": boxes, "rest": rest})
    kept = rows.new_empty((len(found["boxes"]), COLUMNS))
    kept[:, 1:5] = found["boxes"].as_subclass(Tensor) / pixels.shape[-1]
    kept[:, [0, 5]] = found["rest"].as_subclass(Tensor)
    return pixels.as_subclass(Tensor), kept
