"""Settings of training that depend on what is learned, as data, which load without torch."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, Field

from nas.schema import SETTINGS, Fraction, Strength


class Augment(BaseModel):
    """Random augmentation of training images; see `nas.tasks.augmentation.augment`."""

    model_config = SETTINGS

    flip: bool = Field(default=True, description="mirror half of the images left to right")
    pad_fraction: float = Field(
        default=0.0625,
        ge=0,
        le=0.5,
        description="shift by up to this fraction of the side, padding with black",
    )
    crop_area: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="train on random crops of this fraction of the area up to the whole image, instead of "
        "shifting (random resized crop: Szegedy et al. 2015); 1 does not crop",
    )
    crop_ratio: float = Field(
        default=4 / 3,
        ge=1,
        le=4,
        description="longer by shorter side of a crop, at most, before it is resized to a square",
    )
    brightness: Strength = Field(
        default=0.0, description="scale brightness by 1 +- up to this fraction"
    )
    contrast: Strength = Field(
        default=0.0, description="scale contrast by 1 +- up to this fraction"
    )
    saturation: Strength = Field(
        default=0.0, description="scale saturation by 1 +- up to this fraction"
    )
    hue: float = Field(
        default=0.0, ge=0, le=0.5, description="turn hue by up to this fraction of the color circle"
    )
    policy: Literal["none", "trivialaugment", "randaugment"] = Field(
        default="none",
        description="torchvision's TrivialAugmentWide (Mueller & Hutter 2021) or RandAugment (Cubuk et al. "
        "2020, two operations of magnitude 9)",
    )
    erase_probability: Fraction = Field(
        default=0.0, description="fraction of images in which one rectangle is blackened"
    )
    mixup: float = Field(
        default=0.0,
        ge=0,
        description="alpha of mixup (Zhang et al. 2018); 0 is off. With cutmix, each batch takes one",
    )
    cutmix: float = Field(
        default=0.0, ge=0, description="alpha of CutMix (Yun et al. 2019); 0 is off"
    )

    def stored_px(self, size_px: int) -> int:
        """Return the side at which training images are stored: a crop of mean area then keeps its detail.

        >>> Augment().stored_px(96), Augment(crop_area=0.25).stored_px(96)
        (96, 122)
        """
        return math.ceil(size_px / math.sqrt((self.crop_area + 1) / 2))


class DetectSettings(BaseModel):
    """Augmentation that moves boxes with their image; see `nas.tasks.detection.augmentation`."""

    model_config = SETTINGS

    crop: Fraction = Field(
        default=1.0,
        description="fraction of images that are cropped to a random part with some of the objects (Liu et "
        "al. 2016); a detector's",
    )
    zoom_out: Fraction = Field(
        default=0.0, description="fraction of images that are shrunk on a gray ground; a detector's"
    )
    distort: Fraction = Field(
        default=0.5,
        description="probability of each change of brightness, contrast, saturation, hue and order of "
        "channels; a detector's",
    )


class SegmentSettings(BaseModel):
    """Augmentation that moves masks with their image; see `nas.tasks.segmentation.augmentation`."""

    model_config = SETTINGS

    smallest: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="scale images to this fraction of the input's side at least, with a border that is "
        "ignored; a segmentation network's",
    )
    largest: float = Field(
        default=2.0,
        ge=1,
        le=4,
        description="scale images to this multiple of the input's side at most, and crop them; a "
        "segmentation network's",
    )
    distort: Fraction = Field(
        default=0.5,
        description="probability of each change of brightness, contrast, saturation, hue and order of "
        "channels; a segmentation network's",
    )
