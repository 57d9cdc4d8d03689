"""The class of each pixel inside an exported file."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.tasks.postprocessing import Postprocessing
from nas.tasks.segmentation.logits import enlarged


class PixelClasses(Postprocessing):
    """Maps logits (N, classes, h, w) to `classes`, uint8 (N, S, S): of the largest, once enlarged.

    Args:
        size_px: Side of the network's input, S.
    """

    output_names = ("classes",)

    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px

    def forward(self, logits: Tensor) -> Tensor:
        """Return the class of each pixel."""
        return enlarged(logits, (self.size_px, self.size_px)).argmax(dim=1).to(torch.uint8)
