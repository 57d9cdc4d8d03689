"""The log of a run's trials: what is in it survives a `kill -9`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from nas.atomic_files import cut_torn_line, write_whole
from nas.engine.job import Key
from nas.engine.trial import Trial, read_trials
from search_spaces import InputError

OTHER_RUN = "the log belongs to other settings, another device or version"


class TrialLog:
    """Trials on disk, one JSON line each, in the order asked, flushed before `add` returns.

    A trial that finishes before an earlier one waits in a file beside, so that a crash loses neither
    the trial nor the log's order. A last line cut by a crash is dropped, and its trial run again.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.ahead_path = path, path.with_suffix(".ahead.jsonl")
        for file in (self.path, self.ahead_path):
            cut_torn_line(file)
        self.trials = read_trials(self.path)
        self._logged = {trial.key: trial for trial in self.trials}
        ahead = {trial.key: trial for trial in read_trials(self.ahead_path)}
        # A crash between moving one and taking it out of the waiting ones leaves it in both.
        self._ahead = {key: trial for key, trial in ahead.items() if key not in self._logged}
        self._order: list[Key] = []
        self._opened = 0  # trials that belong to batches opened so far

    @property
    def known(self) -> list[Trial]:
        """All trials on disk, also those that wait for earlier ones."""
        return [*self.trials, *self._ahead.values()]

    def open_batch(self, keys: Sequence[Key], *, strict: bool = True) -> dict[Key, Trial]:
        """Declare the next batch; return those of its trials that are already on disk.

        Args:
            keys: The batch's trials, in the order asked.
            strict: Refuse a log that has other trials in their place.

        Raises:
            InputError: The log was written by another plan.
        """
        self._order = [key for key in keys if key not in self._logged]
        if strict:
            self._check_next(keys, incomplete=bool(self._order))
        self._opened += len(keys) - len(self._order)
        self._drain()
        return self._on_disk(keys)

    def _check_next(self, keys: Sequence[Key], *, incomplete: bool) -> None:
        """Refuse other trials in a batch's places, or after it if it is incomplete: then it is the last."""
        rest = [*self.trials[self._opened :], *self._ahead.values()]
        for trial in rest if incomplete else rest[: len(keys)]:
            if trial.key not in keys:
                self.refuse(trial)

    def refuse(self, trial: Trial, why: str = OTHER_RUN) -> NoReturn:
        """Say that a trial is not of the plan that reads this log.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"{self.path}: {trial.kind} {trial.index} is not what this run would ask: {why}; resume with "
            "the same settings and version"
        )

    def _on_disk(self, keys: Sequence[Key]) -> dict[Key, Trial]:
        found = ((key, self._logged.get(key) or self._ahead.get(key)) for key in keys)
        return {key: trial for key, trial in found if trial is not None}

    def add(self, trial: Trial) -> None:
        """Keep a finished trial.

        Raises:
            InputError: The disk is full; what was written before stays.
        """
        self._ahead[trial.key] = trial
        if self._order[0] != trial.key:
            _append(self.ahead_path, trial)
        self._drain()

    def forget_failures(
        self, keys: Sequence[Key], *, even_if_seen: bool = False, strict: bool = True
    ) -> None:
        """Forget the failures of a batch, so that they are tried again in their places.

        Once a batch is complete the plan may have decided by it, so its failures stay, unless nothing in it
        succeeded and nothing follows it: then the run stopped because of them.

        Args:
            keys: The batch's trials.
            even_if_seen: Forget them in any case: no decision rests on them.
            strict: See `open_batch`.

        Raises:
            InputError: The log was written by another plan, and stays as it is; or the disk is full.
        """
        found = self._on_disk(keys).values()
        failed = {trial.key for trial in found if not trial.ok}
        # The next batch may have begun with trials that finished ahead of its first.
        last_ones = (*self.trials[-1:], *self._ahead.values())
        follows = any(trial.key not in keys for trial in last_ones)
        seen = len(found) == len(keys) and (follows or len(failed) < len(found))
        if not failed or (seen and not even_if_seen):
            return
        if strict:  # before anything is rewritten
            self._check_next(keys, incomplete=True)
        first = next((n for n, t in enumerate(self.trials) if t.key in failed), len(self.trials))
        before, after = self.trials[:first], self.trials[first:]
        kept = [*before, *(trial for trial in after if trial.key not in keys)]
        later = [trial for trial in after if trial.key in keys]
        waiting = [t for t in (*later, *self._ahead.values()) if t.key not in failed]
        # What waits is written first: a trial that a crash leaves in both files counts once.
        write_whole(self.ahead_path, b"".join(map(_line, waiting)))
        write_whole(self.path, b"".join(map(_line, kept)))
        self.trials, self._logged = kept, {trial.key: trial for trial in kept}
        self._ahead = {trial.key: trial for trial in waiting}

    def _drain(self) -> None:
        """Move trials whose turn it is from the waiting ones to the log."""
        while self._order and self._order[0] in self._ahead:
            key = self._order[0]
            _append(self.path, self._ahead[key])
            self._logged[key] = self._ahead.pop(key)
            self.trials.append(self._logged[key])
            self._opened = len(self.trials)
            del self._order[0]
        if not self._ahead:
            self.ahead_path.unlink(missing_ok=True)


def _line(trial: Trial) -> bytes:
    return (json.dumps(trial.to_dict(), separators=(",", ":")) + "\n").encode()


def _append(path: Path, trial: Trial) -> None:
    line = _line(trial)  # before the file exists: a run has begun once it does
    try:
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}: free the disk; the log keeps what it has"
        ) from error
