"""Training settings of a candidate, as data that loads without torch."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT_EPOCHS = 5.0


class Augment(BaseModel):
    """Random augmentation of training images; see `nas.training.augment`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    flip: bool = Field(default=True, description="mirror half of the images left to right")
    pad_fraction: float = Field(
        default=0.0625,
        ge=0,
        le=0.5,
        description="shift by up to this fraction of the side, padding with black",
    )
    brightness: float = Field(
        default=0.0, ge=0, lt=1, description="scale brightness by 1 +- up to this fraction"
    )
    contrast: float = Field(
        default=0.0, ge=0, lt=1, description="scale contrast by 1 +- up to this fraction"
    )
    erase_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="fraction of images in which one rectangle is blackened",
    )


class Recipe(BaseModel):
    """All settings of a training, except network, data and seed.

    The length is given in epochs or in steps, not both; the default is five epochs.

    >>> Recipe(epochs=2).total_steps(1000)
    14
    >>> Recipe(steps=10).total_steps(1000)
    10
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: float | None = Field(
        default=None, gt=0, description="passes over the training images; may be fractional"
    )
    steps: int | None = Field(default=None, gt=0, description="batches, instead of epochs")
    min_steps: int | None = Field(
        default=None, gt=0, description="minimum number of batches if the length is in epochs"
    )
    batch_size: int = Field(default=128, ge=2, description="images per training step")
    learning_rate: float = Field(default=4e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(
        default=0.05, ge=0, description="of convolution and linear weights only"
    )
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="fraction of the target spread evenly over classes"
    )
    warmup_fraction: float = Field(
        default=0.3, ge=0, lt=1, description="fraction of steps in which the rate rises to its peak"
    )
    average_fraction: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="average weights over this last fraction of steps; 0 takes the last weights",
    )
    augment: Augment = Field(
        default=Augment(), description="random augmentation of training images"
    )
    zero_init_residual: bool = Field(
        default=True, description="initialize residual branches to zero when training from scratch"
    )
    eval_batch_size: int = Field(default=256, ge=1, description="images per evaluation step")
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads; None keeps torch's. Results depend on it in the last bits",
    )
    autocast: bool = Field(default=False, description="bfloat16 on CUDA devices; ignored on a CPU")

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        epochs, steps = given.get("epochs"), given.get("steps")
        if epochs is not None and steps is not None:
            raise ValueError(f"give epochs or steps, got both: epochs={epochs}, steps={steps}")
        return {**given, "epochs": DEFAULT_EPOCHS} if epochs is None and steps is None else given

    def total_steps(self, train_images: int) -> int:
        """Return the number of training steps, at least one; an epoch consists of whole batches."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(self.min_steps or 1, round(self.epochs * (train_images // self.batch_size)))

    def averaged_steps(self, total_steps: int) -> int:
        """Return the number of last steps whose weights are averaged; 0 if there is nothing to average.

        >>> [Recipe(average_fraction=part).averaged_steps(40) for part in (0, 0.02, 0.3)]
        [0, 0, 12]
        """
        steps = round(self.average_fraction * total_steps)
        return steps if steps > 1 else 0  # a mean of one is pointless

    def longer(self, factor: float) -> Recipe:
        """Return the recipe for a training `factor` times as long.

        >>> Recipe(epochs=2, min_steps=10).longer(3).min_steps
        30
        """
        lengths: dict[str, float | None] = {"epochs": self.epochs and self.epochs * factor}
        for name in ("steps", "min_steps"):
            count = getattr(self, name)
            lengths[name] = count and max(1, round(count * factor))
        return self.model_copy(update=lengths)


def one_cycle(step: int, total: int, *, warmup_fraction: float) -> float:
    """Return the fraction of the peak rate at a step (Smith & Topin 2018, with fast.ai's cosines).

    It rises from 1/25 to 1 during the warm-up, then falls to almost 0 at the last step.

    >>> [round(one_cycle(s, 11, warmup_fraction=0.3), 2) for s in (0, 3, 10)]
    [0.04, 1.0, 0.0]
    """
    first, last = 1 / 25, 1e-5
    peak = warmup_fraction * (total - 1)
    if step < peak:
        return _cosine(first, 1.0, part=step / peak)
    return _cosine(1.0, last, part=(step - peak) / max(total - 1 - peak, 1e-9))


def _cosine(start: float, end: float, *, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
