"""Training settings as data, which load without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from nas.data.image_files.preparation import LEAST_CROP
from nas.schema import SETTINGS, Fraction, Strength
from nas.tasks.settings import Augment as Augment
from nas.tasks.settings import DetectSettings, SegmentSettings
from search_spaces.errors import InputError

DEFAULT_EPOCHS = 5.0

Crop = Annotated[float, Field(ge=LEAST_CROP, le=1)]


class AdamW(BaseModel):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    model_config = SETTINGS

    name: Literal["adamw"] = "adamw"


class RMSProp(BaseModel):
    """TensorFlow's RMSProp, see `nas.training.optimization.rmsprop`; weight decay is an L2 loss."""

    model_config = SETTINGS

    name: Literal["rmsprop"] = "rmsprop"
    decay: Fraction = Field(default=0.9, description="of the mean square of the gradients")
    momentum: Strength = Field(default=0.9, description="of the steps")
    epsilon: float = Field(default=1e-3, gt=0, description="added to the mean square")


class SGD(BaseModel):
    """Stochastic gradient descent with Nesterov's momentum; weight decay is an L2 loss."""

    model_config = SETTINGS

    name: Literal["sgd"] = "sgd"
    momentum: Strength = Field(default=0.9, description="of the steps")


class OneCycle(BaseModel):
    """Rise from 1/25 of the rate to the rate, then fall to almost 0 (Smith & Topin 2018)."""

    model_config = SETTINGS

    name: Literal["one_cycle"] = "one_cycle"


class Cosine(BaseModel):
    """Rise linearly, then fall by half a cosine (Loshchilov & Hutter 2017)."""

    model_config = SETTINGS

    name: Literal["cosine"] = "cosine"
    final: Fraction = Field(default=0.0, description="fraction of the rate at the end")


class Exponential(BaseModel):
    """Rise linearly, then multiply the rate by a factor every few epochs (MobileNetV3, 6.1.1)."""

    model_config = SETTINGS

    name: Literal["exponential"] = "exponential"
    factor: float = Field(default=0.99, gt=0, le=1, description="of each decay")
    every_epochs: float = Field(default=3.0, gt=0, description="epochs between decays")


def _named(value: Any) -> Any:
    """Read `adamw` as `{name: adamw}`."""
    return {"name": value} if isinstance(value, str) else value


def _half(value: Any) -> Any:
    """Read true as bfloat16, which it once meant alone."""
    return "bfloat16" if value is True else value


HalfPrecision = Annotated[Literal[False, "bfloat16", "float16"], BeforeValidator(_half, bool | str)]

Optimizer = Annotated[
    AdamW | RMSProp | SGD, Field(discriminator="name"), BeforeValidator(_named, str)
]
Schedule = Annotated[
    OneCycle | Cosine | Exponential, Field(discriminator="name"), BeforeValidator(_named, str)
]


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
    accumulate: int = Field(
        default=1,
        ge=1,
        description="parts that a batch is computed in, to save memory; batch norm sees one part at a time",
    )
    optimizer: Optimizer = Field(
        default=AdamW(), description="adamw, rmsprop or sgd, or one of them with its own settings"
    )
    learning_rate: float = Field(default=4e-3, gt=0, description="peak learning rate")
    rate_batch: int | None = Field(
        default=None,
        gt=0,
        description="batch size that the learning rate is meant for: it is scaled in proportion to "
        "batch_size (Goyal et al. 2017); null takes it as it is",
    )
    schedule: Schedule = Field(
        default=OneCycle(),
        description="one_cycle, cosine or exponential, or one of them with its own settings",
    )
    warmup_fraction: Strength = Field(
        default=0.3, description="fraction of steps in which the rate rises to its peak"
    )
    weight_decay: float = Field(
        default=0.05, ge=0, description="of convolution and linear weights only"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="scale gradients down to this norm at most; null does not"
    )
    head_fraction: Strength = Field(
        default=0.0,
        description="train only the classifier in this first fraction of steps: a new one is random, and "
        "would disturb inherited weights",
    )
    body_rate: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="learning rate of all other layers, as a fraction of the classifier's",
    )
    label_smoothing: Strength = Field(
        default=0.1, description="fraction of the target spread evenly over classes"
    )
    dropout: Strength | None = Field(
        default=None, description="before the classifier; null keeps the network's own"
    )
    frozen_norms: bool = Field(
        default=False,
        description="keep the batch norm statistics that the body came with: small batches estimate them "
        "badly. Scales and biases are trained",
    )
    batch_norm_decay: Strength | None = Field(
        default=None,
        description="decay of batch norm's running statistics; null keeps the network's own",
    )
    average_fraction: Fraction = Field(
        default=0.0,
        description="average weights over this last fraction of steps; 0 takes the last weights",
    )
    ema_decay: Strength | None = Field(
        default=None,
        description="decay of an exponential moving average of the weights, which becomes the result; it "
        "is lower at first, by TensorFlow's rule. null takes the last weights",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="stop after this many epochs without a better held-out accuracy, and take the best "
        "weights; null trains for the full length and keeps the final weights. Only nas train evaluates "
        "each epoch",
    )
    augment: Augment = Field(
        default=Augment(), description="random augmentation of training images"
    )
    detect: DetectSettings = Field(
        default=DetectSettings(), description="augmentation of a detector's training images"
    )
    segment: SegmentSettings = Field(
        default=SegmentSettings(),
        description="augmentation of a segmentation network's training images",
    )
    normalization: Literal["data", "inception", "imagenet"] = Field(
        default="data",
        description="of inputs, from scratch: by the data's mean and deviation, to -1..1, or by ImageNet's",
    )
    center_crop: Crop | None = Field(
        default=None,
        description="fraction of the shorter side that evaluation and use see; 0.875 is ImageNet's "
        "convention. null keeps the seed's, and is 1 from scratch. Training images are not center-cropped",
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
    autocast: HalfPrecision = Field(
        default=False,
        description="on CUDA devices, compute in bfloat16 (or true), or in float16 with scaled losses",
    )
    compile: bool = Field(
        default=False,
        description="compile the network by torch.compile, which takes up to a minute and a C++ compiler",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        epochs, steps = given.get("epochs"), given.get("steps")
        if epochs is not None and steps is not None:
            raise ValueError(f"give epochs or steps, got both: epochs={epochs}, steps={steps}")
        if steps is not None and given.get("min_steps") is not None:
            raise ValueError(
                f"min_steps is for a length in epochs, got steps={steps}, min_steps={given['min_steps']}"
            )
        return {**given, "epochs": DEFAULT_EPOCHS} if epochs is None and steps is None else given

    @model_serializer(mode="wrap")
    def _without_defaults_of_tasks(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what dense tasks added, so that records of classifiers stay as they are."""
        dumped: dict[str, Any] = dump(self)
        if not self.frozen_norms:
            dumped.pop("frozen_norms", None)
        if self.detect == DetectSettings():
            dumped.pop("detect", None)
        if self.segment == SegmentSettings():
            dumped.pop("segment", None)
        return dumped

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.ema_decay is not None and self.average_fraction > 0:
            raise ValueError(
                f"give ema_decay or average_fraction, got both: {self.ema_decay}, {self.average_fraction}"
            )
        return self

    @model_validator(mode="after")
    def _statistics_kept_once(self) -> Self:
        if self.frozen_norms and self.average_fraction > 0:
            raise ValueError(
                f"average_fraction {self.average_fraction} takes batch norm statistics anew, frozen_norms "
                "keeps them: give ema_decay instead"
            )
        return self

    @property
    def peak_rate(self) -> float:
        """Learning rate at the peak of the schedule, for the recipe's batch size.

        >>> Recipe(learning_rate=0.1, rate_batch=4096, batch_size=1024).peak_rate
        0.025
        """
        if self.rate_batch is None:
            return self.learning_rate
        return self.learning_rate * self.batch_size / self.rate_batch

    def require_new_weights(self) -> None:
        """Check that it can train a network from new weights.

        Raises:
            InputError: It keeps batch norm statistics, of which there are none.
        """
        if self.frozen_norms:
            raise InputError(
                "frozen_norms: true keeps the batch norm statistics of a trained network, and this one has "
                "random weights: set it to false, or begin with a seed.pt"
            )

    def evaluation_crop(self, kept: float = 1.0) -> float:
        """Return the fraction of the shorter side that evaluation sees.

        Args:
            kept: That of the network to fine-tune, if there is one.

        >>> Recipe().evaluation_crop(0.875), Recipe(center_crop=1).evaluation_crop(0.875)
        (0.875, 1.0)
        """
        return kept if self.center_crop is None else self.center_crop

    def epoch_steps(self, train_images: int) -> int:
        """Return the number of steps of an epoch: whole batches, at least one."""
        return max(1, train_images // self.batch_size)

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

    def of_steps(self, steps: int) -> Recipe:
        """Return the recipe for a number of steps."""
        return self.model_copy(update={"epochs": None, "min_steps": None, "steps": steps})

    def in_steps(self, train_images: int) -> Recipe:
        """Return the recipe with its length in steps.

        >>> Recipe(epochs=2).in_steps(1000).steps
        14
        """
        return self.of_steps(self.total_steps(train_images))
