"""Random scale, crop, mirroring and colors of images with masks, by torchvision's transforms."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from nas.data.masks.coding import IGNORED
from nas.tasks.dense import Change
from nas.tasks.settings import SegmentSettings

GRAY = 114
"""Around an image that is smaller than its crop; the mask is ignored there."""


def change(settings: SegmentSettings, *, flip: bool, size_px: int) -> Change:
    """Return what happens to one image and its mask (S, S).

    Colors change last: most crops have fewer pixels than the image.
    """
    smallest, largest = (round(scale * size_px) for scale in (settings.smallest, settings.largest))
    steps: list[nn.Module] = [
        v2.RandomResize(smallest, largest + 1),
        v2.RandomCrop(
            size_px,
            pad_if_needed=True,
            fill={tv_tensors.Image: GRAY, tv_tensors.Mask: IGNORED},
        ),
    ]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    if settings.distort:
        steps.append(v2.RandomPhotometricDistort(p=settings.distort))
    transform = v2.Compose(steps)

    def changed(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        pixels, moved = transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
        return pixels.as_subclass(Tensor), moved.as_subclass(Tensor)

    return changed
