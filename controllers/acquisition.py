"""Choose a batch by expected improvement under a surrogate.

The improvement of a batch is estimated by sampling: Wilson et al. 2018 ("Maximizing acquisition functions
for Bayesian optimization", section 3).
"""

from collections.abc import Sequence

import torch

from controllers.controller import Tokens
from controllers.surrogate import Surrogate

SAMPLES = 64  # behind each expected improvement


def upper_bounds(model: Surrogate, tokens: Sequence[Tokens]) -> dict[Tokens, float]:
    """Return the estimate plus one standard deviation of each sequence."""
    distinct = list(dict.fromkeys(tokens))
    mean, std = model.estimate(distinct)
    return {t: m + s for t, m, s in zip(distinct, mean, std, strict=True)}


def most_improving(
    model: Surrogate,
    candidates: Sequence[Tokens],
    *,
    n: int,
    best: Sequence[Tokens],
    generator: torch.Generator,
) -> list[Tokens]:
    """Choose up to ``n`` candidates whose best is expected to improve most on the incumbent.

    Greedy: each next candidate is the one that adds most to those chosen before, which keeps the batch
    diverse. The incumbent is uncertain too: each sampled function decides which of ``best`` it is.

    Args:
        model: the surrogate.
        candidates: most promising first; the order breaks ties where no sample shows an improvement.
        n: size of the batch.
        best: sequences tried or in flight, one of which is the incumbent.
        generator: of the samples.
    """
    if not candidates:
        return []
    functions = model.sample([*candidates, *best], SAMPLES, generator=generator)
    values, record = functions[: len(candidates)], functions[len(candidates) :].amax(dim=0)
    chosen: list[int] = []
    for _ in range(min(n, len(candidates))):
        gain = (values - record).clamp(min=0.0).mean(dim=1)  # (candidates,)
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
        record = torch.maximum(record, values[chosen[-1]])  # (samples,)
    return [candidates[index] for index in chosen]
