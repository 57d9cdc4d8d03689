"""Which images, and how they are read: the `data` part of a run's settings."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field

from nas.data.split_rule import SplitBy, SplitRule
from nas.schema import SETTINGS, Positive


def _colour(name: str) -> str:
    from PIL import ImageColor  # not before it is needed: --help is to be quick

    try:
        ImageColor.getrgb(name)
    except ValueError as error:
        raise ValueError(f"unknown colour {name!r}: give white, black or #rrggbb") from error
    return name


class DataConfig(BaseModel):
    """The images.

    Attributes:
        source: `fashion-mnist-subset` (in the package), a folder of class folders, or a torchvision
            data set by name.
        proxy_resolution: Side in pixels at which trials train; None takes the images' own, at most the
            deployed size.
        memory_limit_mb: Above it images are decoded while they are read.
        val_fraction: Held out of train where the data has no validation part.
        test_fraction: Held out where it has no test part.
        split_seed: Decides which images are held out.
        split_by: How images of a folder are held out: by `name`, so that added images leave the others
            where they are, or at `random` by their place, as runs of before did.
        background: Colour that transparent pixels are laid on: a name such as `white`, or `#rrggbb`.
        layout: Of a folder: `flat` takes every folder for a class, `split` those named train, val and
            test for splits, `auto` decides, and asks where it cannot.
        max_megapixels: A larger image is not read.
        skip_bad_images: Leave out images that cannot be read.
    """

    model_config = SETTINGS

    source: str = "fashion-mnist-subset"
    proxy_resolution: Annotated[int, Field(ge=8)] | None = None
    memory_limit_mb: Positive = 4096
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: int = 0
    split_by: SplitBy = "name"
    background: Annotated[str, AfterValidator(_colour)] = "white"
    layout: Literal["auto", "flat", "split"] = "auto"
    max_megapixels: Annotated[float, Field(gt=0)] = 400.0
    skip_bad_images: bool = False

    @property
    def rule(self) -> SplitRule:
        """Which images are held out."""
        return SplitRule(self.val_fraction, self.test_fraction, self.split_seed, self.split_by)

    def held_out_by(self, rule: SplitRule) -> Self:
        """These images, with those held out that a checkpoint's training held out."""
        return self.model_copy(
            update={
                "val_fraction": rule.val_fraction,
                "test_fraction": rule.test_fraction,
                "split_seed": rule.seed,
                "split_by": rule.split_by,
            }
        )
