"""How a candidate is trained, as data. Reading a recipe loads no torch."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT_EPOCHS = 5.0


class Augment(BaseModel):
    """Random changes to the training images; see `nas.training.augment`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    flip: bool = Field(default=True, description="mirror half of the images left to right")
    pad_fraction: float = Field(
        default=0.0625,
        ge=0,
        le=0.5,
        description="shift by up to this part of the side, black moving in",
    )
    brightness: float = Field(
        default=0.0, ge=0, lt=1, description="scale light by 1 +- up to this part"
    )
    contrast: float = Field(
        default=0.0, ge=0, lt=1, description="scale contrast by 1 +- up to this part"
    )
    erase_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="part of the images in which one rectangle is blackened",
    )


class Recipe(BaseModel):
    """Everything that decides a training but the network, the data and the seed.

    The length is given in epochs or in steps, never both; with neither it is five epochs.

    >>> Recipe(epochs=2).total_steps(1000)
    14
    >>> Recipe(steps=10).total_steps(1000)
    10
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: float | None = Field(
        default=None, gt=0, description="passes over train; may be a fraction"
    )
    steps: int | None = Field(default=None, gt=0, description="batches, in place of epochs")
    min_steps: int | None = Field(
        default=None, gt=0, description="no fewer batches than these, where the length is in epochs"
    )
    batch_size: int = Field(default=128, ge=2, description="images a training step")
    learning_rate: float = Field(default=4e-3, gt=0, description="AdamW's peak rate")
    weight_decay: float = Field(
        default=0.05, ge=0, description="on convolution and linear weights only"
    )
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="part of the target spread evenly"
    )
    warmup_fraction: float = Field(
        default=0.3, ge=0, lt=1, description="part of the steps in which the rate rises to its peak"
    )
    average_fraction: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="part of the steps, the last ones, whose weights are averaged; 0 takes the last",
    )
    augment: Augment = Field(default=Augment(), description="random changes to the training images")
    zero_init_residual: bool = Field(
        default=True, description="start residual branches at zero, when training from scratch"
    )
    eval_batch_size: int = Field(default=256, ge=1, description="images a step of evaluation")
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads; None keeps torch's. Results depend on it in the last bits",
    )
    autocast: bool = Field(
        default=False, description="bfloat16 where CUDA gains from it; ignored on a CPU"
    )

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
        """Return the number of training steps, at least one; an epoch is of whole batches."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(self.min_steps or 1, round(self.epochs * (train_images // self.batch_size)))

    def averaged_steps(self, total_steps: int) -> int:
        """Return the number of last steps whose weights are averaged; 0 where there is nothing to average.

        >>> [Recipe(average_fraction=part).averaged_steps(40) for part in (0, 0.02, 0.3)]
        [0, 0, 12]
        """
        steps = round(self.average_fraction * total_steps)
        return steps if steps > 1 else 0  # the mean of one is that one

    def longer(self, factor: float) -> Recipe:
        """The same recipe for a training so many times as long.

        >>> Recipe(epochs=2, min_steps=10).longer(3).min_steps
        30
        """
        lengths: dict[str, float | None] = {"epochs": self.epochs and self.epochs * factor}
        for name in ("steps", "min_steps"):
            count = getattr(self, name)
            lengths[name] = count and max(1, round(count * factor))
        return self.model_copy(update=lengths)


def one_cycle(step: int, total: int, *, warmup_fraction: float) -> float:
    """Return the part of the peak rate at a step (Smith & Topin 2018, with fast.ai's cosines).

    Rises from 1/25 to 1 during the warm-up, then falls to almost nothing at the last step.

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
