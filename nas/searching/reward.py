"""The objective of the search: a trade-off of accuracy and latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Ms = float | Sequence[float]
"""Milliseconds on one device, or on each of several."""


def power_reward(
    accuracy: float, latency_ms: Ms, *, target_ms: Ms, alpha: float, beta: float
) -> float:
    """Return ACC * (LAT/T)^w, with w = alpha up to the target and beta above it (MnasNet, eq. 2 and 3).

    With several devices the factors are multiplied: ACC * (LAT_1/T_1)^w_1 * (LAT_2/T_2)^w_2 ...

    >>> power_reward(0.75, 80.0, target_ms=80.0, alpha=-0.07, beta=-0.07)
    0.75
    >>> power_reward(0.75, 160.0, target_ms=80.0, alpha=0.0, beta=-1.0)
    0.375
    >>> power_reward(0.75, (40.0, 20.0), target_ms=(80.0, 5.0), alpha=-1.0, beta=-1.0)
    0.375
    """
    reward = accuracy
    for ratio in over_target(latency_ms, target_ms):
        reward *= math.pow(ratio, alpha if ratio <= 1 else beta)
    return reward


def absolute_reward(accuracy: float, latency_ms: Ms, *, target_ms: Ms, beta: float) -> float:
    """Return ACC + beta * |LAT/T - 1|, which is largest at the target (TuNAS, eq. 3).

    With several devices the terms are added: ACC + beta * (|LAT_1/T_1 - 1| + |LAT_2/T_2 - 1| + ...).

    >>> round(absolute_reward(0.75, 88.0, target_ms=80.0, beta=-0.1), 6)
    0.74
    >>> round(absolute_reward(0.75, (88.0, 8.0), target_ms=(80.0, 10.0), beta=-0.1), 6)
    0.72
    """
    return accuracy + beta * sum(abs(ratio - 1.0) for ratio in over_target(latency_ms, target_ms))


def over_target(latency_ms: Ms, target_ms: Ms) -> list[float]:
    """Return LAT/T for each device.

    >>> over_target(40.0, 80.0), over_target((40.0, 10.0), (80.0, 5.0))
    ([0.5], [0.5, 2.0])
    """
    pairs = zip(_each(latency_ms), _each(target_ms), strict=True)
    return [latency / target for latency, target in pairs]


def _each(ms: Ms) -> Sequence[float]:
    return ms if isinstance(ms, Sequence) else (ms,)


_DEFAULTS = {"soft": (-0.15, -0.15), "hard": (0.0, -1.0), "absolute": (0.0, -0.10)}


class Reward(BaseModel):
    """The kind of reward and its exponents, the same for each device.

    Attributes:
        kind: `soft` is ACC*(LAT/T)^w on both sides of the target; `hard` is the same with alpha 0 and beta
            -1; `absolute` is ACC + beta*|LAT/T - 1|. With several devices, the factors (LAT/T)^w are
            multiplied, and the terms |LAT/T - 1| added.
        alpha: Exponent up to the target; -0.15 for `soft` (MobileNetV3; MnasNet uses -0.07).
        beta: Exponent above the target, or slope of `absolute` (-0.10, as in TuNAS).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["soft", "hard", "absolute"] = "soft"
    alpha: Annotated[float | None, Field(le=0)] = None
    beta: Annotated[float | None, Field(le=0)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "absolute" and self.alpha is not None:
            raise ValueError("the absolute reward has no alpha: give beta only")
        return self

    def __call__(self, accuracy: float, latency_ms: Ms, *, target_ms: Ms) -> float:
        """Return the reward of a trial; accuracy in 0..1.

        >>> Reward(kind="hard")(0.8, 30.0, target_ms=60.0)
        0.8
        """
        default_alpha, default_beta = _DEFAULTS[self.kind]
        alpha = default_alpha if self.alpha is None else self.alpha
        beta = default_beta if self.beta is None else self.beta
        if self.kind == "absolute":
            return absolute_reward(accuracy, latency_ms, target_ms=target_ms, beta=beta)
        return power_reward(accuracy, latency_ms, target_ms=target_ms, alpha=alpha, beta=beta)
