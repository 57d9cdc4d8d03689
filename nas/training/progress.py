"""What a training reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Diverged(RuntimeError):  # noqa: N818 - named for the event
    """The loss is no longer a finite number."""


class BatchTooLarge(RuntimeError):  # noqa: N818 - named for the event
    """A batch does not fit into memory."""


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        step: Finished steps.
        total_steps: All steps.
        train_loss: Mean over the last steps, with augmentation and label smoothing.
        images_per_s: Training images per second so far, without evaluation.
        accuracy: Held-out top-1 accuracy, 0..1, if it was just evaluated, else None.
        loss: Held-out cross entropy, likewise.
        last_accuracy: That of the last weights, if `accuracy` is that of their moving average.
    """

    step: int
    total_steps: int
    train_loss: float
    images_per_s: float = 0.0
    accuracy: float | None = None
    loss: float | None = None
    last_accuracy: float | None = None


@dataclass(frozen=True)
class Best:
    """The evaluation with the best accuracy on val; of equal ones the first.

    Attributes:
        step: Finished steps.
        accuracy: Top-1 accuracy on val, 0..1.
        loss: Mean cross entropy on val.
        weights: The state dict that was evaluated.
    """

    step: int
    accuracy: float
    loss: float
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        accuracy: Top-1 accuracy on val, 0..1.
        loss: Mean cross entropy on val.
        train_loss: Mean over the last steps, with augmentation and label smoothing.
        images_per_s: Training images per second, without evaluation.
        train_s: Seconds of training, without evaluation.
        last_accuracy: Accuracy of the last weights, if `accuracy` is that of their moving average.
        best: The best evaluation, if there were several.
        steps: Finished steps: fewer than planned if the recipe's patience ended it.
        slowed: Whether the learning rate was halved on the way, because the loss became NaN or infinite.
    """

    accuracy: float
    loss: float
    train_loss: float
    images_per_s: float
    train_s: float
    last_accuracy: float | None = None
    best: Best | None = None
    steps: int = 0
    slowed: bool = False
