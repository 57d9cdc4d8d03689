"""SSD's random crop (Liu et al. 2016, section 2.2), all tries at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2


class IoUCrop(v2.RandomIoUCrop):  # type: ignore[misc] # torchvision has no types
    """torchvision's `RandomIoUCrop`, of boxes in the format XYXY.

    Crops have the same distribution. torchvision tries them one by one, which takes several milliseconds an
    image, more than all other changes of it. An image without boxes is left as it is.
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw where to crop; nothing leaves the image as it is."""
        boxes = next(one for one in flat_inputs if isinstance(one, tv_tensors.BoundingBoxes))
        corners = boxes.as_subclass(Tensor).numpy(force=True).astype(np.float64)
        while len(corners):
            overlap = self.options[int(torch.randint(len(self.options), ()))]
            if overlap >= 1:
                break
            found = self._tried(corners, boxes.canvas_size, overlap)
            if found is not None:
                return found
        return {}

    def _tried(
        self, corners: NDArray[np.float64], size: tuple[int, int], overlap: float
    ) -> dict[str, Any] | None:
        """Return the first crop that fits, of as many as are tried; None if none does.

        Args:
            corners: (M, 4), x1, y1, x2, y2 in pixels.
            size: Height and width of the image.
            overlap: IoU that a box with its center inside must have with the crop at least.
        """
        draws = torch.rand(2, self.trials, 2).double().numpy()
        whole = np.array([size[1], size[0]])
        scales = self.min_scale + (self.max_scale - self.min_scale) * draws[0]
        sides = (whole * scales).astype(np.int64)  # (trials, 2): width and height
        first = ((whole - sides) * draws[1]).astype(np.int64)
        last = first + sides
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = sides[:, 0] / sides[:, 1]
        fits = (self.min_aspect_ratio <= ratios) & (ratios <= self.max_aspect_ratio)
        centers = (corners[:, :2] + corners[:, 2:]) / 2  # (M, 2)
        inside = ((first[:, None] < centers) & (centers < last[:, None])).all(axis=2)  # (trials, M)
        shared = np.minimum(last[:, None], corners[:, 2:]) - np.maximum(
            first[:, None], corners[:, :2]
        )
        common = shared.clip(min=0).prod(axis=2)
        areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
        ious = common / (areas + sides.prod(axis=1)[:, None] - common)
        fits &= (inside & (ious >= overlap)).any(axis=1)
        if not fits.any():
            return None
        chosen = int(fits.argmax())
        (left, top), (width, height) = first[chosen].tolist(), sides[chosen].tolist()
        kept = torch.from_numpy(inside[chosen])
        return {
            "top": top,
            "left": left,
            "height": height,
            "width": width,
            "is_within_crop_area": kept,
        }
