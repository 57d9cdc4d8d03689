"""Latency-guided warm-up: use estimated latency before training starts, to avoid trials above the target.

Most networks of a space are far above a tight target, and each costs a training to evaluate. Latency can be
estimated well enough from MAdds, by a power law through the networks measured for the plan:

    ms = scale * MAdds^power,    score(network) = -max(0, max_d log(ms_d / T_d))  over devices d

A policy is trained on that score until half of its samples are within every target. The score does not
favor networks close to the target over faster ones: every reward does that by accuracy, which takes
trials. Controllers that support a limit also skip networks whose estimate is above a target by more than
its typical error, on any device:

    ms_d > T_d * (1 + error_d)

The soft reward alone does not ensure this: if accuracy grows with latency by a power above 0.15, its
optimum is above any target. Each trial's latency is measured all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from statistics import fmean, linear_regression
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from controllers import CanConstrain, CanWarmUp, Controller
from search_spaces import ArchSpec, SearchSpace, Tokens, count


class PowerLaw(BaseModel):
    """A device's latency as a power of MAdds.

    Attributes:
        scale_ms: Latency at one million MAdds.
        power: Below 1 if small networks use the device less efficiently.
        error: Typical relative error for a network left out of the fit: 0.2 is 20%.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    power: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    error: Annotated[float, Field(ge=0)] = 0.0

    @classmethod
    def through(cls, networks: Iterable[tuple[ArchSpec, float]]) -> Self:
        """Fit log(ms) over log(MAdds) by least squares, with a slope of at least 0.

        Args:
            networks: At least three, with latencies in ms.
        """
        points = [(math.log(count(spec).madds / 1e6), math.log(ms)) for spec, ms in networks]
        slope, intercept = rising_line(points)
        errors = [
            abs(y - _at(x, *rising_line([*points[:left_out], *points[left_out + 1 :]])))
            for left_out, (x, y) in enumerate(points)
        ]
        return cls(scale_ms=math.exp(intercept), power=slope, error=math.expm1(fmean(errors)))

    def ms(self, spec: ArchSpec) -> float:
        """Return the estimated latency.

        >>> from search_spaces import REFERENCES
        >>> small = REFERENCES["mobilenet_v3_small"]()
        >>> round(PowerLaw(scale_ms=0.02, power=1.0).ms(small), 2)
        1.13
        """
        return self.scale_ms * math.pow(count(spec).madds / 1e6, self.power)


def rising_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Fit (x, y) by least squares: slope, at least 0, and intercept; flat if all x are equal."""
    across, up = zip(*points, strict=True)
    if min(across) == max(across):
        return 0.0, fmean(up)
    slope, intercept = linear_regression(across, up)
    return (slope, intercept) if slope >= 0 else (0.0, fmean(up))


def _at(x: float, slope: float, intercept: float) -> float:
    return slope * x + intercept


def can_be_guided(controller: Controller) -> bool:
    """Return whether the controller can use estimated latency."""
    return isinstance(controller, CanWarmUp | CanConstrain)


def guide(
    controller: Controller,
    space: SearchSpace,
    laws: Sequence[PowerLaw],
    targets_ms: Sequence[float],
    *,
    least: float = 0.0,
) -> None:
    """Warm up a new controller on estimated latency, and limit it if it supports a limit.

    Args:
        controller: A new controller.
        space: Decodes its tokens.
        laws: One per device.
        targets_ms: One per device.
        least: Part of a target that a network should take on some device at least: one that is much
            faster than it needs to be is hardly the most accurate.
    """

    def score(tokens: Tokens, limits_ms: Sequence[float]) -> float:
        spec = space.decode(tokens)
        estimates_ms = [law.ms(spec) for law in laws]
        over = max(ms / limit for ms, limit in zip(estimates_ms, limits_ms, strict=True))
        taken = max(ms / target for ms, target in zip(estimates_ms, targets_ms, strict=True))
        return -math.log(max(1.0, over, least / taken))

    if isinstance(controller, CanWarmUp):
        controller.warm_up(partial(score, limits_ms=targets_ms), enough=0.0)
    if isinstance(controller, CanConstrain):
        limits_ms = [ms * (1 + law.error) for law, ms in zip(laws, targets_ms, strict=True)]
        controller.constrain(partial(score, limits_ms=limits_ms), least=0.0)
