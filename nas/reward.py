"""The search's objective: accuracy traded against latency on the device."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def power_reward(
    accuracy: float, latency_ms: float, *, target_ms: float, alpha: float, beta: float
) -> float:
    """ACC * (LAT/T)^w with w = alpha up to the target and beta above it (MnasNet, eq. 2 and 3).

    >>> power_reward(0.75, 80.0, target_ms=80.0, alpha=-0.07, beta=-0.07)
    0.75
    >>> power_reward(0.75, 160.0, target_ms=80.0, alpha=0.0, beta=-1.0)
    0.375
    """
    exponent = alpha if latency_ms <= target_ms else beta
    return accuracy * math.pow(latency_ms / target_ms, exponent)


def absolute_reward(accuracy: float, latency_ms: float, *, target_ms: float, beta: float) -> float:
    """ACC + beta * |LAT/T - 1|, which draws the search to the target itself (TuNAS, eq. 3).

    >>> round(absolute_reward(0.75, 88.0, target_ms=80.0, beta=-0.1), 6)
    0.74
    """
    return accuracy + beta * abs(latency_ms / target_ms - 1.0)


_DEFAULTS = {"soft": (-0.15, -0.15), "hard": (0.0, -1.0), "absolute": (0.0, -0.10)}


class Reward(BaseModel):
    """Which reward, and its exponents.

    Attributes:
        kind: `soft` is ACC*(LAT/T)^w on both sides of the target; `hard` the same with alpha 0, beta
            -1, a limit; `absolute` is ACC + beta*|LAT/T - 1|.
        alpha: Exponent up to the target. -0.15 for `soft` (MobileNetV3; MnasNet has -0.07).
        beta: Exponent above the target, or the slope of `absolute` (-0.10, TuNAS's).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["soft", "hard", "absolute"] = "soft"
    alpha: Annotated[float | None, Field(le=0)] = None
    beta: Annotated[float | None, Field(le=0)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "absolute" and self.alpha is not None:
            raise ValueError("alpha has no place in the absolute reward: give beta alone")
        return self

    def __call__(self, accuracy: float, latency_ms: float, *, target_ms: float) -> float:
        """The reward of one trial; accuracy in 0..1.

        >>> Reward(kind="hard")(0.8, 30.0, target_ms=60.0)
        0.8
        """
        default_alpha, default_beta = _DEFAULTS[self.kind]
        alpha = default_alpha if self.alpha is None else self.alpha
        beta = default_beta if self.beta is None else self.beta
        if self.kind == "absolute":
            return absolute_reward(accuracy, latency_ms, target_ms=target_ms, beta=beta)
        return power_reward(accuracy, latency_ms, target_ms=target_ms, alpha=alpha, beta=beta)
