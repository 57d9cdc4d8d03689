"""What trials are worth once their noise is known: a model of the accuracy, fitted to all of them.

The best of many noisy readings is mostly a lucky one. Its likes know better: so finalists are chosen by the
model's estimate, which draws each reading towards those of similar networks as far as readings are noisy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nas.engine.trial import Trial

LEAST_TRIALS = 8
"""Below it a reading is its own best estimate: there is too little to learn the noise from."""


@dataclass(frozen=True)
class Estimate:
    """A network's accuracy, 0..1, as all trials together tell it, and its standard deviation."""

    accuracy: float
    std: float


def estimates(arities: Sequence[int], trials: Sequence[Trial]) -> dict[int, Estimate]:
    """The estimate of each trial that succeeded, by its index; none at all from fewer than `LEAST_TRIALS`.

    Nor is there one of a network that reads far below the others: the model takes it for a failure, which
    is as bad as any other. A network asked for again, or under other tokens, has the reading of its first
    trial, and one estimate.

    Args:
        arities: Of the space.
        trials: Of the search, in their order, all trained for the same length.
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
    """Distinct networks from the best on, as the winner will be chosen among those trained longer.

    First those within every target by accuracy, of equal ones the faster; then the others by reward.
    Accuracies are estimates where there are any, and readings elsewhere.

    Args:
        trials: Of the search, all trained for the same length.
        targets_ms: The latency budget on each device.
        reward: Of (accuracy in 0..1, latency in ms on each device).
        estimates: By the trial's index.
    """

    def place(trial: Trial) -> tuple[bool, float, float, int]:
        accuracy = (
            estimates[trial.index].accuracy if trial.index in estimates else trial.accuracy or 0.0
        )
        if trial.within(targets_ms):
            return False, -accuracy, trial.overall_ms, trial.index
        return True, -reward(accuracy, trial.latencies_ms), trial.overall_ms, trial.index

    return distinct(sorted((trial for trial in trials if trial.ok), key=place))


def distinct(trials: Sequence[Trial]) -> list[Trial]:
    """The first trial of each network that succeeded, in their order."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.ok:
            first.setdefault(trial.fingerprint, trial)
    return list(first.values())
