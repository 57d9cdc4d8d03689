"""Denoised accuracies of trials, from a surrogate model fitted to all of them.

The best of many noisy readings is biased high. So finalists are chosen by the model's estimate, which
shrinks each reading towards those of similar networks in proportion to the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nas.engine.trial import Trial

LEAST_TRIALS = 8
"""Minimum number of trials: with fewer the noise cannot be estimated and readings are used as they are."""


@dataclass(frozen=True)
class Estimate:
    """Estimated accuracy of a network, 0..1, and its standard deviation."""

    accuracy: float
    std: float


def estimates(arities: Sequence[int], trials: Sequence[Trial]) -> dict[int, Estimate]:
    """Estimate the accuracy of each successful trial, by index; nothing for fewer than `LEAST_TRIALS`.

    Networks with accuracies far below the others get no estimate: the model treats them as failures. A
    network that was proposed again, or under other tokens, has the reading of its first trial and one
    estimate.

    Args:
        arities: The space's.
        trials: In order; all trained for the same length.
    """
    from controllers.surrogate import fit  # loads torch

    good = [trial for trial in trials if trial.ok and trial.accuracy is not None]
    read = distinct(good)
    if len(read) < LEAST_TRIALS:
        return {}
    tokens = [trial.tokens for trial in read]
    model = fit(arities, tokens, [trial.accuracy or 0.0 for trial in read])
    estimated = zip(read, *model.estimate(tokens), strict=True)
    by_network = {
        trial.fingerprint: Estimate(mean, std)
        for trial, mean, std in estimated
        if (trial.accuracy or 0.0) >= model.floor
    }
    return {t.index: by_network[t.fingerprint] for t in good if t.fingerprint in by_network}


def finalists(
    trials: Sequence[Trial],
    *,
    targets_ms: Sequence[float],
    reward: Callable[[float, Sequence[float]], float],
    estimates: Mapping[int, Estimate],
) -> list[Trial]:
    """Rank distinct networks as the winner will be chosen from those trained longer.

    Networks within every target come first, by accuracy (ties: the faster first), then the others by
    reward. Accuracies are estimates where there are any, else readings.

    Args:
        trials: All trained for the same length.
        targets_ms: The latency budget on each device.
        reward: Function of (accuracy in 0..1, latency in ms on each device).
        estimates: By trial index.
    """

    def rank(trial: Trial) -> tuple[bool, float, float, int]:
        accuracy = (
            estimates[trial.index].accuracy if trial.index in estimates else trial.accuracy or 0.0
        )
        if trial.within(targets_ms):
            return False, -accuracy, trial.overall_ms, trial.index
        return True, -reward(accuracy, trial.latencies_ms), trial.overall_ms, trial.index

    return distinct(sorted((trial for trial in trials if trial.ok), key=rank))


def distinct(trials: Sequence[Trial]) -> list[Trial]:
    """Return the first successful trial of each network, in order."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.ok:
            first.setdefault(trial.fingerprint, trial)
    return list(first.values())
