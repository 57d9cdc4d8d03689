"""The `data` section of a run's settings: which images to use, and how to read them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field

from nas.data.splits.rule import SplitBy, SplitRule
from nas.schema import SETTINGS, Counted, Positive


def _color(name: str) -> str:
    from PIL import ImageColor  # imported late, to keep --help fast

    try:
        ImageColor.getrgb(name)
    except ValueError as error:
        raise ValueError(f"unknown color {name!r}: give white, black or #rrggbb") from error
    return name


class DataConfig(BaseModel):
    """The images.

    Attributes:
        source: `fashion-mnist-subset` (in the package), a folder of class folders, or a torchvision
            data set by name.
        task: What is learned of the images (`nas.tasks.task_of`): decides where a folder has both boxes and
            masks, and must be what it is annotated for elsewhere. None takes what it is annotated for.
        proxy_resolution: Resolution in pixels that trials train at; None uses the images' own, at most
            the deployed one.
        memory_limit_mb: Larger data sets are decoded while they are read.
        decoding_workers: Processes of each training that decode then; None takes 2, and nas train a process
            for every two cores, at most 8.
        val_fraction: Fraction of train held out if the data has no validation split.
        test_fraction: Fraction of train held out if the data has no test split.
        split_seed: Random seed of the split.
        split_by: How images of a folder are held out: by `name`, so that adding images does not move
            others, or at `random` by position, as in runs of earlier versions.
        background: Color behind transparent pixels: a name such as `white`, or `#rrggbb`.
        layout: Of a folder: `flat` treats every folder as a class, `split` those named train, val and
            test as splits; `auto` decides, and asks if it cannot.
        max_megapixels: Larger images are not read.
        skip_bad_images: Leave out images that cannot be read.
    """

    model_config = SETTINGS

    source: str = "fashion-mnist-subset"
    task: str | None = None
    proxy_resolution: Annotated[int, Field(ge=8)] | None = None
    memory_limit_mb: Positive = 4096
    decoding_workers: Counted | None = None
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: int = 0
    split_by: SplitBy = "name"
    background: Annotated[str, AfterValidator(_color)] = "white"
    layout: Literal["auto", "flat", "split"] = "auto"
    max_megapixels: Annotated[float, Field(gt=0)] = 400.0
    skip_bad_images: bool = False

    @property
    def rule(self) -> SplitRule:
        """Return how images are held out."""
        return SplitRule(self.val_fraction, self.test_fraction, self.split_seed, self.split_by)

    def held_out_by(self, rule: SplitRule) -> Self:
        """Return the settings with the split of a checkpoint's training."""
        return self.model_copy(
            update={
                "val_fraction": rule.val_fraction,
                "test_fraction": rule.test_fraction,
                "split_seed": rule.seed,
                "split_by": rule.split_by,
            }
        )
