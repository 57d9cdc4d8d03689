"""BoTorch's batch Bayesian optimization over categorical decisions, as a controller.

A Gaussian process over one-hot decisions with BoTorch's default kernel and priors (Hvarfner et al. 2024).
qLogNoisyExpectedImprovement (Ament et al. 2023) is maximized for one trial of a batch after another, over a
pool of sequences: the best of those met by a hill climb from many starts. In a search of `blocks` BoTorch's
own `optimize_acqf_discrete_local_search`, with four restarts a trial, found a network as good in five times
the CPU time.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from heapq import nlargest
from typing import Any

import torch

from controllers import Tokens
from controllers.controller import Scored
from controllers.kernel import one_hot
from controllers.uniform import draw_uniform

WARMUP = 10  # uniform trials before the first model, as of Optuna's samplers
DRAWN = 500  # uniform sequences in the pool
CLIMBERS = 10  # sequences whose neighbours are looked at in a step
MOST_STEPS = 20
POOL = 500  # best of those looked at, from which the batch is chosen
SAMPLES = 128  # behind each expected improvement


class BoTorchPeer:
    """Gaussian process and noisy expected improvement of BoTorch.

    Args:
        arities: Number of choices of each decision.
        seed: Random seed.
    """

    def __init__(self, arities: Sequence[int], *, seed: int) -> None:
        import botorch  # noqa: F401  # here, so that its import is no overhead of the first trial

        self._arities = tuple(arities)
        self._rng = random.Random(seed)
        self._trials: list[tuple[Tokens, float]] = []

    def ask(self, n: int) -> list[Tokens]:
        """Choose by expected improvement; uniformly at first, and where nothing new is left."""
        asked = [] if len(self._trials) < WARMUP else self._most_improving(n)
        return asked + [draw_uniform(self._arities, self._rng) for _ in range(n - len(asked))]

    def tell(self, scored: Scored) -> None:
        """Keep the trials for the next model."""
        self._trials += scored

    def _most_improving(self, n: int) -> list[Tokens]:
        """Return up to `n` sequences from the pool."""
        from botorch.optim import optimize_acqf_discrete
        from botorch.utils.sampling import manual_seed

        with manual_seed(self._rng.getrandbits(32)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of BoTorch, on inputs and numerics
            acquisition = self._acquisition()
            pool = self._pool(acquisition)
            rows = self._rows(pool)
            count = min(n, len(pool))
            chosen = optimize_acqf_discrete(acquisition, q=count, choices=rows)[0] if count else []
        by_row = dict(zip(map(tuple, rows.tolist()), pool, strict=True))
        return [by_row[tuple(row.tolist())] for row in chosen]

    def _acquisition(self) -> Any:
        """Fit the model to all trials."""
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.sampling import SobolQMCNormalSampler
        from gpytorch.mlls import ExactMarginalLogLikelihood

        tried = self._rows([tokens for tokens, _ in self._trials])
        readings = torch.tensor([[reading] for _, reading in self._trials], dtype=torch.float64)
        model = SingleTaskGP(tried, readings)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=self._rng.getrandbits(30))
        return qLogNoisyExpectedImprovement(model, tried, sampler, prune_baseline=True)

    def _pool(self, acquisition: Any) -> list[Tokens]:
        """Return the untried sequences of highest expected improvement that a hill climb meets."""
        tried = {tokens for tokens, _ in self._trials}
        best = nlargest(CLIMBERS, self._trials, key=lambda trial: trial[1])
        starts = [draw_uniform(self._arities, self._rng) for _ in range(DRAWN)]
        starts += [near for tokens, _ in best for near in neighbours(tokens, self._arities)]
        value: dict[Tokens, float] = {}
        climbers: list[Tokens] = []
        for _ in range(MOST_STEPS):
            new = [s for s in dict.fromkeys(starts) if s not in value and s not in tried]
            if new:
                with torch.no_grad():
                    values = acquisition(self._rows(new)[:, None])  # (sequences, 1, choices)
                value |= dict(zip(new, values.tolist(), strict=True))
            before, climbers = climbers, nlargest(CLIMBERS, value, key=value.__getitem__)
            if climbers == before:
                break
            starts = [near for tokens in climbers for near in neighbours(tokens, self._arities)]
        return nlargest(POOL, value, key=value.__getitem__)

    def _rows(self, sequences: Sequence[Tokens]) -> torch.Tensor:
        return one_hot(sequences, self._arities)


def neighbours(tokens: Tokens, arities: Sequence[int]) -> Iterator[Tokens]:
    """Yield the sequences that differ in one decision.

    >>> list(neighbours((0, 1), (2, 2)))
    [(1, 1), (0, 0)]
    """
    for at, arity in enumerate(arities):
        for choice in range(arity):
            if choice != tokens[at]:
                yield (*tokens[:at], choice, *tokens[at + 1 :])
