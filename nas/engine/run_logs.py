"""What a runner keeps of a run: its trials, its final trainings, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Key, Kind
from nas.engine.trial import Trial
from nas.engine.trial_log import OTHER_RUN, TrialLog


class RunLogs:
    """A run's two logs and its folder of weights.

    Args:
        folder: The run's folder.
        name: File name of the log of its trials: `trials.jsonl`.
        kinds: The kinds of trial in that log; all others go to `finals.jsonl`.
        early: Kinds of final training that come before the trials.
        devices: Number of devices that are measured.
        fixed_finals: Whether a resumed run must ask for the same final trainings.

    Raises:
        InputError: A log is damaged, or of another number of devices.
    """

    def __init__(
        self,
        folder: RunFolder,
        name: str,
        kinds: frozenset[Kind],
        *,
        early: frozenset[Kind] = frozenset(),
        devices: int = 1,
        fixed_finals: bool = True,
    ) -> None:
        self._folder, self._kinds, self._early = folder, kinds, early
        self._fixed_finals = fixed_finals
        self._log, self._final_log = TrialLog(folder / name), TrialLog(folder / "finals.jsonl")
        for trial in (*self.trials, *self.finals):
            if len(trial.latencies) not in (0, devices):
                self.refuse(trial)

    @property
    def trials(self) -> list[Trial]:
        """The run's trials so far, without its final trainings, in the order asked."""
        return self._log.trials

    @property
    def finals(self) -> list[Trial]:
        """The final trainings so far."""
        return self._final_log.trials

    def open_batch(self, keys: Sequence[Key]) -> dict[Key, Trial]:
        """Declare the next batch; return those of its trials that are already on disk.

        Failures are tried again as far as no decision rests on them: see `TrialLog.forget_failures`. Trials
        depend on the early final trainings, and the other final trainings on trials.

        Args:
            keys: The batch's trials, all of one log.

        Raises:
            InputError: The log has others in their place.
        """
        if not keys:
            return {}
        log = self._log_of(keys[0][0])
        ends = log is self._final_log
        strict = self._fixed_finals or not ends
        decided = bool(self._log.known) if keys[0][0] in self._early else self._ending and not ends
        if not decided:
            log.forget_failures(keys, even_if_seen=ends, strict=strict)
        return log.open_batch(keys, strict=strict)

    @property
    def _ending(self) -> bool:
        """Whether any final training has ended that rests on the trials."""
        return any(trial.kind not in self._early for trial in self._final_log.known)

    def add(self, trial: Trial) -> None:
        """Keep a finished trial.

        Raises:
            InputError: The disk is full; what was written before stays.
        """
        self._log_of(trial.kind).add(trial)

    def refuse(self, trial: Trial, why: str = OTHER_RUN) -> NoReturn:
        """Say that a logged trial is not of this run.

        Raises:
            InputError: Always.
        """
        self._log_of(trial.kind).refuse(trial, why)

    def keep_weights(self, key: Key, weights: bytes) -> None:
        """Keep a training's weights; see `RunFolder.keep_weights`."""
        self._folder.keep_weights(key, weights)

    def _log_of(self, kind: Kind) -> TrialLog:
        return self._log if kind in self._kinds else self._final_log
