"""Random crops, zooms, mirroring and colors of annotated images, by torchvision's transforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from nas.data.annotations.rows import PADDING_CLASS
from nas.tasks.dense import Change
from nas.tasks.detection.iou_crop import IoUCrop
from nas.tasks.settings import DetectSettings

LEAST_SIDE = 2 / 320
"""Boxes of a shorter side, as a fraction of the image's, are dropped: what a crop leaves of an object."""

GRAY = 114
"""Around an image that is zoomed out, as in YOLO."""


def change(settings: DetectSettings, *, flip: bool, size_px: int) -> Change:
    """Return what happens to one image and its objects (M, 6), in the order of SSD (section 2.2)."""
    steps: list[nn.Module] = []
    if settings.distort:
        steps.append(v2.RandomPhotometricDistort(p=settings.distort))
    if settings.zoom_out:
        steps.append(v2.RandomZoomOut(fill=GRAY, side_range=(1, 2), p=settings.zoom_out))
    if settings.crop:
        steps.append(v2.RandomApply([IoUCrop()], p=settings.crop))
    steps.append(v2.Resize((size_px, size_px), antialias=True))
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    least_px = max(1.0, LEAST_SIDE * size_px)
    steps.append(v2.SanitizeBoundingBoxes(min_size=least_px, labels_getter=_labels))
    transform = v2.Compose(steps)

    def changed(image: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        side = image.shape[-1]
        real = rows[rows[:, 0] != PADDING_CLASS]
        boxes = tv_tensors.BoundingBoxes(
            real[:, 1:5] * side, format="XYXY", canvas_size=(side, side)
        )
        pixels, found = transform(
            tv_tensors.Image(image), {"boxes": boxes, "rest": real[:, [0, 5]]}
        )
        kept = torch.zeros_like(rows)
        kept[:, 0] = PADDING_CLASS
        kept[: len(found["boxes"]), 1:5] = found["boxes"].as_subclass(Tensor) / size_px
        kept[: len(found["boxes"]), [0, 5]] = found["rest"].as_subclass(Tensor)
        return pixels.as_subclass(Tensor), kept

    return changed


def _labels(inputs: tuple[Tensor, dict[str, Tensor]]) -> Tensor:
    return inputs[1]["rest"]
