"""A surrogate of the reward: a Gaussian process over token sequences, fitted to trials.

    reading(x) = f(x) + noise,      cov f(x), f(x') = 1 + s^2 exp( - sum_d w_d [x_d != x'_d] )

in standard deviations of the readings. The covariance decreases with the number of decisions that differ,
and each decision has its own weight (automatic relevance determination). Expanded, the exponential is a sum
of effects of single decisions, pairs, triples, ...: small weights make the model nearly additive, large
ones let choices interact. The 1 stands for the unknown mean. Weights, s and noise maximize the posterior
given the latest trials, so the model learns how reliable a reading is.

Rasmussen & Williams 2006 ("Gaussian Processes for Machine Learning"), chapters 2 and 5; on
categories e.g. Wan et al. 2021 ("Think Global and Act Local", CASMOPOLITAN).

It sees only tokens and results, so trials of any controller can be used:

>>> model = fit((3, 2), [(0, 0), (1, 0), (2, 0), (0, 1)], [0.1, 0.2, 0.3, 0.2])
>>> mean, std = model.estimate([(2, 0), (2, 1)])
>>> std[0] < std[1]  # the first was tried
True
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

import torch
from torch import Tensor

from controllers.baseline import MAD_TO_STD, ROUNDING
from controllers.checks import checked_arities, checked_scored, checked_tokens
from controllers.controller import Tokens
from controllers.kernel import JITTER, Kernel, most_probable_kernel, one_hot
from controllers.threads import one_thread
from search_spaces.errors import InputError

# An exact fit is cubic in the number of trials, so it is limited: hyperparameters use the latest trials,
# estimates the latest and the best earlier ones. Beyond a thousand trials the cost is constant.
MOST_FITTED = 200
MOST_TRIALS = 1000
MOST_BEST = 200  # earlier ones among them
CLIP = 3.0  # spreads below the median at which failed trials are clipped


@dataclass(frozen=True)
class Readings:
    """Standardized results of trials.

    Attributes:
        standard: (value - mean) / unit, clipped at ``floor``, (n,).
        mean: mean of the values.
        unit: their standard deviation.
        floor: lower values are clipped to it.
    """

    standard: Tensor
    mean: float
    unit: float
    floor: float

    @classmethod
    def of_values(cls, values: Sequence[float]) -> "Readings":
        """Standardize values; the unit is 1 if all are equal.

        >>> Readings.of_values([0.25, 0.75]).standard.tolist()
        [-1.0, 1.0]
        """
        raw = torch.tensor(values, dtype=torch.float64)
        floor = _floor(raw)
        raw = raw.clamp(min=floor)
        mean, unit = float(raw.mean()), float(raw.std(correction=0))
        if unit <= ROUNDING * abs(mean):
            unit = 1.0
        return cls((raw - mean) / unit, mean, unit, floor)


def _floor(values: Tensor) -> float:
    """Return the clipping floor: ``CLIP`` spreads below the median of the trials that did not fail.

    All failures have the lowest value. If it occurs more than once, it is excluded from the spread, which
    failures would otherwise dominate.

    >>> _floor(torch.tensor([0.0] * 8 + [0.68, 0.69, 0.70, 0.71, 0.72])) > 0.6
    True
    """
    lowest = values.min()
    above = values[values > lowest]
    fair = above if (values == lowest).sum() > 1 else values
    if not len(above):
        return float(lowest)
    spread = MAD_TO_STD * (fair - fair.median()).abs().median()
    if spread == 0:  # most are alike
        spread = above.std(correction=0)
    return float(fair.median() - CLIP * spread if spread > 0 else lowest)


class Surrogate:
    """A Gaussian process conditioned on trials (Rasmussen & Williams, algorithm 2.1)."""

    def __init__(self, kernel: Kernel, rows: Tensor, readings: "Readings") -> None:
        """Condition on n readings at one-hot ``rows`` (n, choices)."""
        self._kernel, self._rows = kernel, rows
        self._mean, self._unit = readings.mean, readings.unit
        self._floor = readings.floor
        self._factor = kernel.factor(rows)
        self._dual = torch.cholesky_solve(readings.standard[:, None], self._factor)  # (n, 1)

    @property
    def noise(self) -> float:
        """Standard deviation of a reading's noise, in the unit of the values."""
        return float(self._kernel.noise * self._unit)

    @property
    def floor(self) -> float:
        """Lower readings are clipped to this value."""
        return self._floor

    @one_thread()
    def estimate(self, tokens: Sequence[Tokens]) -> tuple[list[float], list[float]]:
        """Estimate each sequence's true value, with standard deviation, in the unit of the values."""
        rows = self._one_hot(tokens)
        mean, half = self._conditioned(rows)
        prior = 1.0 + self._kernel.scale**2
        std = (prior - half.square().sum(dim=0)).clamp(min=0.0).sqrt()
        return (mean * self._unit + self._mean).tolist(), (std * self._unit).tolist()

    @one_thread()
    def sample(self, tokens: Sequence[Tokens], count: int, *, generator: torch.Generator) -> Tensor:
        """Sample ``count`` functions from the posterior, at all ``tokens``, (tokens, count)."""
        rows = self._one_hot(tokens)
        mean, half = self._conditioned(rows)
        covariance = self._kernel.between(rows, rows) - half.T @ half
        # Ten times the jitter of the trials, whose rounding errors this difference inherits.
        covariance += 10 * JITTER * (1.0 + self._kernel.scale**2) * torch.eye(len(rows))
        drawn = torch.randn(len(rows), count, generator=generator, dtype=rows.dtype)
        functions: Tensor = mean[:, None] + torch.linalg.cholesky(covariance) @ drawn
        return functions * self._unit + self._mean

    def _conditioned(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior mean (m,), and H (n, m), where H^T H is the reduction of the covariance."""
        cross = self._kernel.between(self._rows, rows)  # (n, m)
        half = torch.linalg.solve_triangular(self._factor, cross, upper=False)
        return (cross.T @ self._dual)[:, 0], half

    def _one_hot(self, tokens: Sequence[Tokens]) -> Tensor:
        arities = self._kernel.arities
        return one_hot([checked_tokens(t, arities) for t in tokens], arities)


@one_thread()
def fit(arities: Sequence[int], tokens: Sequence[Tokens], values: Sequence[float]) -> Surrogate:
    """Fit a surrogate to trials in chronological order.

    Args:
        arities: number of choices of each decision.
        tokens: of each trial; may repeat.
        values: score of each; failed trials all have the lowest.

    Raises:
        InputError: there are no trials; or see ``Controller.tell``.
    """
    arities = checked_arities(arities)
    trials = recent_and_best(checked_scored(list(zip(tokens, values, strict=True)), arities))
    if not trials:
        raise InputError(
            "a surrogate needs at least one trial, got none: tell the controller some first"
        )
    rows = one_hot([t for t, _ in trials], arities)
    readings = Readings.of_values([value for _, value in trials])
    latest = slice(-MOST_FITTED, None)
    kernel = most_probable_kernel(rows[latest], readings.standard[latest], arities)
    return Surrogate(kernel, rows, readings)


def recent_and_best(trials: Sequence[tuple[Tokens, float]]) -> list[tuple[Tokens, float]]:
    """Select at most ``MOST_TRIALS`` trials, in order: the latest, and the best earlier ones."""
    first = len(trials) - (MOST_TRIALS - MOST_BEST)
    if len(trials) <= MOST_TRIALS:
        return list(trials)
    best = nlargest(MOST_BEST, range(first), key=lambda index: trials[index][1])
    return [*(trials[index] for index in sorted(best)), *trials[first:]]
