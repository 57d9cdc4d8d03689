"""The log of a run's trials: what is in it survives a `kill -9`."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

from nas.atomic_files import read_lines, write_whole
from nas.engine.trial import Trial
from search_spaces import InputError

Key = tuple[str, int]
"""Kind and index of a trial: what it is known by in its run."""


class TrialLog:
    """Trials on disk, one JSON line each, in the order asked, flushed before `add` returns.

    A trial that finishes before an earlier one waits in a file beside, so that a crash loses neither
    the trial nor the log's order. A last line cut by a crash is dropped, and its trial run again.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.ahead_path = path, path.with_suffix(".ahead.jsonl")
        for file in (self.path, self.ahead_path):
            _cut_last(file)
        self.trials = read_trials(self.path)
        self._logged = {_key(trial): trial for trial in self.trials}
        ahead = {_key(trial): trial for trial in read_trials(self.ahead_path)}
        # A crash between moving one and taking it out of the waiting ones leaves it in both.
        self._ahead = {key: trial for key, trial in ahead.items() if key not in self._logged}
        self._order: list[Key] = []

    @property
    def waiting(self) -> list[Trial]:
        """Trials that wait for their turn."""
        return list(self._ahead.values())

    def open_batch(self, keys: list[Key]) -> dict[Key, Trial]:
        """Say which trials come next, in order; returns those already on disk."""
        self._order = [key for key in keys if key not in self._logged]
        self._drain()
        return {
            key: self._on_disk(key) for key in keys if key in self._logged or key in self._ahead
        }

    def _on_disk(self, key: Key) -> Trial:
        return self._logged[key] if key in self._logged else self._ahead[key]

    def add(self, trial: Trial) -> None:
        """Keep a finished trial.

        Raises:
            InputError: The disk is full; what was written before stays.
        """
        self._ahead[_key(trial)] = trial
        if self._order[0] != _key(trial):
            _append(self.ahead_path, trial)
        self._drain()

    def drop_failed(self, keys: Collection[Key] | None = None) -> None:
        """Take failures out of the log, and of those that wait, so that they are tried again.

        Args:
            keys: Of the trials meant; None means all.

        Raises:
            InputError: The disk is full.
        """

        def stays(trial: Trial) -> bool:
            return trial.ok or (keys is not None and _key(trial) not in keys)

        waiting = [trial for trial in self.waiting if stays(trial)]
        if len(waiting) < len(self._ahead):
            write_whole(self.ahead_path, b"".join(map(_line, waiting)))
            self._ahead = {_key(trial): trial for trial in waiting}
        good = [trial for trial in self.trials if stays(trial)]
        if len(good) < len(self.trials):
            write_whole(self.path, b"".join(map(_line, good)))
            self.trials = good
            self._logged = {_key(trial): trial for trial in good}

    def _drain(self) -> None:
        """Move trials whose turn it is from the waiting ones to the log."""
        while self._order and self._order[0] in self._ahead:
            key = self._order[0]
            _append(self.path, self._ahead[key])
            self._logged[key] = self._ahead.pop(key)
            self.trials.append(self._logged[key])
            del self._order[0]
        if not self._ahead:
            self.ahead_path.unlink(missing_ok=True)


def _key(trial: Trial) -> Key:
    return trial.kind, trial.index


def _line(trial: Trial) -> bytes:
    return (json.dumps(trial.to_dict(), separators=(",", ":")) + "\n").encode()


def _append(path: Path, trial: Trial) -> None:
    try:
        with path.open("ab") as file:
            file.write(_line(trial))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}: free the disk; the log keeps what it has"
        ) from error


def _cut_last(path: Path) -> None:
    """Take a last line that a crash has cut off the file; only the process that holds the run may."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)


def read_trials(path: Path) -> list[Trial]:
    """The trials of a log, which another process may be writing: see `nas.atomic_files.read_lines`."""
    return read_lines(path, Trial.from_dict)
