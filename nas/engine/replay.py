"""Whether a log is of the run that goes on with it: a trial of another run would be told as its own."""

from __future__ import annotations

from collections.abc import Collection

from nas.engine.trial import Trial
from nas.engine.trial_log import Key, TrialLog
from search_spaces import InputError, SearchSpace, Tokens


def require_same(
    log: TrialLog, trial: Trial, tokens: Tokens, *, space: SearchSpace, devices: int
) -> None:
    """Check that a trial is of what would be asked now.

    Args:
        log: Where it is.
        trial: The trial.
        tokens: What would be asked.
        space: Decodes them.
        devices: Number of those that are measured on.

    Raises:
        InputError: It is of something else.
    """
    if trial.tokens != tokens or len(trial.latencies) not in (0, devices):
        raise InputError(
            f"{log.path}: trial {trial.index} is not what this run would ask: the log belongs to "
            "another space, controller, seed, devices or version; resume with those that wrote it"
        )
    if trial.fingerprint != space.decode(tokens).fingerprint:
        raise InputError(
            f"{log.path}: trial {trial.index} was of another network than its tokens mean now: the "
            "space or its resolution has changed; resume with those that wrote it"
        )


def require_planned(finals: TrialLog, planned: Collection[Key]) -> None:
    """Check that the finals of a log are those that would be trained now.

    Raises:
        InputError: One is not.
    """
    for trial in [*finals.trials, *finals.waiting]:
        if (trial.kind, trial.index) not in planned:
            raise InputError(
                f"{finals.path}: trial {trial.index} would not be in the finals now: the log belongs to "
                "another number of finals or version; resume with those that wrote it, or remove it"
            )
