"""Knowledge distillation: a trained network whose outputs are targets beside the images' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.tasks.augmentation.augment import normalize
from nas.tasks.outputs import Outputs

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Teacher:
    """A network to learn from (Hinton et al. 2015).

    It sees the same augmented images as its student, at a resolution and normalization of its own.

    Attributes:
        module: float32 (N, 3, px, px) -> outputs like its student's, with the classes in the same order.
        px: Side of its input; None sees images of its student's size.
        mean: Per channel, of pixels in 0..1.
        std: Per channel, of pixels in 0..1.
        temperature: Divides both networks' logits: the higher, the more the small probabilities count.
        weight: Of the teacher's part of the loss, 0..1; the images' own targets have the rest.
    """

    module: nn.Module
    px: int | None
    mean: Triple
    std: Triple
    temperature: float = 2.0
    weight: float = 0.5

    def to(self, device: torch.device) -> Self:
        """Move its network to a device, in place."""
        self.module.to(device)
        return self

    @torch.no_grad()
    def outputs(self, pixels: Tensor) -> Outputs:
        """Return its outputs for pixels 0..255, (N, 3, H, W)."""
        if self.px is not None and pixels.shape[-1] != self.px:
            pixels = functional.interpolate(
                pixels.float(), size=(self.px, self.px), mode="bilinear", antialias=True
            )
        outputs: Outputs = self.module(normalize(pixels, mean=self.mean, std=self.std))
        return outputs
