"""What trials are worth once their noise is known: a model of the accuracy, fitted to all of them.

The best of many noisy readings is mostly a lucky one. Its likes know better: so finalists are chosen by the
model's estimate, which draws each reading towards those of similar networks as far as readings are noisy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

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

    A network asked for again, or under other tokens, has the reading of its first trial, and one estimate.

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
    told = zip(read, *model.estimate(tokens), strict=True)
    by_network = {trial.fingerprint: Estimate(mean, std) for trial, mean, std in told}
    return {trial.index: by_network[trial.fingerprint] for trial in good}


def worth_by(
    told: Mapping[int, Estimate], reward: Callable[[float, Sequence[float]], float]
) -> Callable[[Trial], float]:
    """A trial's reward, of the estimated accuracy where there is an estimate."""

    def worth(trial: Trial) -> float:
        if trial.index not in told:
            return trial.reward
        return reward(told[trial.index].accuracy, trial.latencies_ms)

    return worth


def finalists(
    trials: Sequence[Trial],
    *,
    targets_ms: Sequence[float],
    worth: Callable[[Trial], float] = attrgetter("reward"),
) -> list[Trial]:
    """Distinct networks from the best on: by worth, those within every target before all others."""
    return distinct(sorted(trials, key=lambda t: (not t.within(targets_ms), -worth(t), t.index)))


def distinct(trials: Sequence[Trial]) -> list[Trial]:
    """The first trial of each network that succeeded, in their order."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.ok:
            first.setdefault(trial.fingerprint, trial)
    return list(first.values())
