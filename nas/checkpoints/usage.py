"""How a network is used: the preparation of its input, and its classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from nas.data.image_files.preparation import BACKGROUND, Fit, Preparation
from nas.data.splits.rule import BY_DEFAULT, SplitRule

if TYPE_CHECKING:
    from nas.data.images import Dataset


NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and deviation of each channel, of pixels in 0..1: ImageNet's, those that give -1..1, and none."""


@dataclass(frozen=True)
class Usage:
    """How a network's input is prepared, and what its outputs mean.

    Attributes:
        classes: Class names, in the order of the outputs.
        trained_px: Resolution that the weights were trained at. The spec's resolution, which latency is
            measured at, may differ.
        mean: Per channel, of pixels in 0..1.
        std: Per channel, of pixels in 0..1.
        background: Color behind transparent pixels, as PIL names it.
        named: Whether `classes` are real names; placeholders are never matched with a folder's name.
        rule: How images were held out from training, if the data had no splits of its own.
        crop: Fraction of the shorter side that the input shows: see `Preparation`.
        fit: Whether the input shows the central square or all of an image: see `Preparation`.
    """

    classes: tuple[str, ...]
    trained_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    background: str = BACKGROUND
    named: bool = True
    rule: SplitRule = BY_DEFAULT
    crop: float = 1.0
    fit: Fit = "crop"

    @property
    def preparation(self) -> Preparation:
        """How an image file becomes its input; the white level is found for each image."""
        return Preparation(self.background, crop=self.crop, fit=self.fit)

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Describe the images of a data set that a network is trained on."""
        px, prepared = data.resolution_px, data.preparation
        return cls(
            data.classes,
            px,
            data.mean,
            data.std,
            prepared.background,
            rule=data.rule,
            crop=prepared.crop,
            fit=prepared.fit,
        )
