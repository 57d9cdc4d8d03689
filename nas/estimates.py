"""What trials are worth once their noise is known: a model of the accuracy, fitted to all of them.

The best of many noisy readings is mostly a lucky one. Its likes know better: so finalists are chosen by the
model's estimate, which draws each reading towards those of similar networks as far as readings are noisy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.trial import Trial

LEAST_TRIALS = 8
"""Below it a reading is its own best estimate: there is too little to learn the noise from."""


@dataclass(frozen=True)
class Estimate:
    """A network's accuracy, 0..1, as all trials together tell it, and its standard deviation."""

    accuracy: float
    std: float


def estimates(arities: Sequence[int], trials: Sequence[Trial]) -> dict[int, Estimate]:
    """The estimate of each trial that succeeded, by its index; none at all from fewer than `LEAST_TRIALS`.

    Args:
        arities: Of the space.
        trials: Of the search, in their order.
    """
    from controllers.surrogate import fit  # loads torch

    good = [trial for trial in trials if trial.ok and trial.accuracy is not None]
    if len(good) < LEAST_TRIALS:
        return {}
    tokens = [trial.tokens for trial in good]
    model = fit(arities, tokens, [trial.accuracy or 0.0 for trial in good])
    means, stds = model.estimate(tokens)
    told = zip(good, means, stds, strict=True)
    return {trial.index: Estimate(mean, std) for trial, mean, std in told}
