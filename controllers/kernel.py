"""The covariance of the surrogate's Gaussian process, and the fit of its hyperparameters.

    cov f(x), f(x') = 1 + s^2 exp( - sum_d w_d [x_d != x'_d] )

Its hyperparameters maximize their posterior given the readings (Rasmussen & Williams 2006, chapter 5).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from controllers.controller import Tokens

STEPS = 25  # maximum of the optimizer
JITTER = 1e-6  # relative to the variance; keeps the covariance positive definite in 64 bits

# Normal priors of logarithms (mean, standard deviation): of the sum of the weights, s and the noise; and of
# each decision's fraction of the weights, relative to an equal one.
PRIORS = ((math.log(1.5), 1.0), (0.0, 1.0), (math.log(0.3), 1.0))
SHARE_PRIOR = (0.0, 0.5)


@dataclass(frozen=True)
class Kernel:
    """The covariance and its hyperparameters, in standard deviations of the readings.

    Attributes:
        arities: number of choices of each decision.
        weights: w_d, (decisions,).
        scale: s, ().
        noise: standard deviation of a reading, ().
    """

    arities: tuple[int, ...]
    weights: Tensor
    scale: Tensor
    noise: Tensor

    @classmethod
    def of_logs(cls, logs: Tensor, arities: tuple[int, ...]) -> "Kernel":
        """Build from logarithms in the order of the priors, then of the shares, (3 + decisions,)."""
        total, scale, noise = logs[:3].exp()
        return cls(arities, total * logs[3:].exp() / len(arities), scale, noise)

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the covariance of f at one-hot rows (n, choices) and (m, choices), (n, m)."""
        by_choice = self.weights.repeat_interleave(torch.tensor(self.arities))  # (choices,)
        agreeing = (left * by_choice) @ right.T  # sum of weights of equal decisions
        covariance: Tensor = 1.0 + self.scale**2 * torch.exp(agreeing - self.weights.sum())
        return covariance

    def factor(self, rows: Tensor) -> Tensor:
        """Return the lower Cholesky factor of the covariance of readings at one-hot rows, (n, n)."""
        own = self.noise**2 + JITTER * (1.0 + self.scale**2)
        covariance = self.between(rows, rows) + own * torch.eye(len(rows), dtype=rows.dtype)
        lower: Tensor = torch.linalg.cholesky(covariance)
        return lower


def most_probable_kernel(rows: Tensor, readings: Tensor, arities: tuple[int, ...]) -> Kernel:
    """Maximize the posterior of the hyperparameters by L-BFGS, starting from the prior means.

    Return the prior means if the optimization fails numerically.
    """
    logs = _priors(len(arities))[:, 0].clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logs], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = negative_log_posterior(logs, rows, readings, arities)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    try:
        with torch.enable_grad():
            optimizer.step(loss)  # type: ignore[no-untyped-call]
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return Kernel.of_logs(_priors(len(arities))[:, 0], arities)
    return Kernel.of_logs(logs.detach(), arities)


def negative_log_posterior(
    logs: Tensor, rows: Tensor, readings: Tensor, arities: tuple[int, ...]
) -> Tensor:
    """Return - log p(readings | logs) - log p(logs), up to a constant (Rasmussen & Williams, eq. 5.8)."""
    factor = Kernel.of_logs(logs, arities).factor(rows)
    white = torch.linalg.solve_triangular(factor, readings[:, None], upper=False)
    priors = _priors(len(arities))
    outliers = ((logs - priors[:, 0]) / priors[:, 1]).square().sum()
    misfit: Tensor = white.square().sum() + outliers
    return 0.5 * misfit + factor.diagonal().log().sum()


def _priors(decisions: int) -> Tensor:
    return torch.tensor([*PRIORS, *[SHARE_PRIOR] * decisions], dtype=torch.float64)


def one_hot(tokens: Sequence[Tokens], arities: tuple[int, ...]) -> Tensor:
    """Encode sequences one-hot, one column per choice, (sequences, sum of arities).

    >>> one_hot([(1, 0)], (2, 3)).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    first = torch.tensor([0, *arities]).cumsum(dim=0)[:-1]  # column of each decision's choice 0
    columns = torch.tensor(tokens, dtype=torch.int64).reshape(-1, len(arities)) + first
    rows = torch.zeros(len(tokens), sum(arities), dtype=torch.float64)
    return rows.scatter_(1, columns, 1.0)
