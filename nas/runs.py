"""The run folder: what a search keeps, and how it is never lost.

config.yaml      every setting, as --config takes it (of the commands' runs)
run.json         what was searched: the space's decisions, the device, the data, the target
trials.jsonl     one line a finished trial, in the order asked: the truth of the run
finals.jsonl     the finalists' longer trainings, and repeats that show the noise
*.ahead.jsonl    trials that finished before their turn; moved into the log in order
spent.json       the wall time spent, and the batches' sizes that it decided (with a time budget)
warm-start-N.pt  what trials begin with the weights of, if anything (of the commands' runs)
policy.jsonl     the controller's probabilities after each batch, where it has any
weights/         the finalists' weights
result.json      the winner and its figures
best.yaml best.onnx seed.pt pareto.csv report.html tensorboard/
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from nas.trial import Trial
from search_spaces import InputError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Raises:
        InputError: The disk is full or the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path}: {error.strerror}: free the disk or choose another folder"
        ) from error


Key = tuple[str, int]
"""Kind and index of a trial: what it is known by in its run."""


def read_json(path: Path) -> Any:
    """What a file of a run holds.

    Raises:
        InputError: It is not there, or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: damaged or not there ({error}): restore it from a copy, or begin another run"
        ) from error


class TrialLog:
    """Trials on disk, one JSON line each, in the order asked, flushed before `add` returns.

    A trial that finishes before an earlier one waits in a file beside, so that a crash loses neither
    the trial nor the log's order. A last line cut by a crash is dropped, and its trial run again.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.ahead_path = path, path.with_suffix(".ahead.jsonl")
        self.trials: list[Trial] = _read(path)
        self._logged = {_key(trial): trial for trial in self.trials}
        self._ahead = {_key(trial): trial for trial in _read(self.ahead_path)}
        self._order: list[Key] = []

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


def _append(path: Path, trial: Trial) -> None:
    line = json.dumps(trial.to_dict(), separators=(",", ":")) + "\n"
    try:
        with path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}: the log keeps what it has; mend that, then resume"
        ) from error


def _read(path: Path) -> list[Trial]:
    """The whole lines of a log. A last line cut by a crash is cut off the file too.

    Raises:
        InputError: A line that is not the last is damaged.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("rb+") as file:
            file.truncate(len(whole))
    trials = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            trials.append(Trial.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}: not a trial ({error}): restore the file from a copy"
            ) from error
    return trials


class RunFolder:
    """A run's folder: opened by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the system frees it when the process ends, however it ends.

        Raises:
            InputError: Another process holds it.
        """
        lock = filelock.FileLock(self.path / ".lock", is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(
                f"{self.path}: another process holds this run: wait for it, or end it first"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @property
    def begun(self) -> bool:
        """Whether a trial has finished in it."""
        return bool(self.trials().trials) or any(self.path.glob("*.ahead.jsonl"))

    @property
    def ending(self) -> bool:
        """Whether a training after the search has finished in it, in its turn or before."""
        logs = (self.finals().path, self.finals().ahead_path)
        return any(log.exists() for log in logs)

    def discard(self) -> None:
        """Remove the folder of a run that has not begun."""
        shutil.rmtree(self.path)

    def trials(self) -> TrialLog:
        """The search's log."""
        return TrialLog(self.path / "trials.jsonl")

    def finals(self) -> TrialLog:
        """The log of finalists and repeats."""
        return TrialLog(self.path / "finals.jsonl")

    def weights_path(self, index: int) -> Path:
        """Where a finalist's weights are kept."""
        return self.path / "weights" / f"trial-{index}.pt"

    def keep_weights(self, index: int, weights: bytes) -> None:
        """Keep a finalist's weights."""
        path = self.weights_path(index)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, weights)

    def publish(self, *names: str) -> None:
        """Copy files of this run beside the run folders, as those of the newest run."""
        for name in names:
            write_whole(self.path.parent / name, (self.path / name).read_bytes())


def check_new(root: Path, name: str) -> None:
    """Whether a run can have this name: asked before anything is measured.

    Raises:
        InputError: It is no folder name, or is taken.
    """
    if not name or name.startswith(".") or Path(name).name != name:
        raise InputError(f"run name {name!r} is not a folder name: use letters, digits, - and _")
    path = root / name
    with _writable(path):
        if path.exists():
            raise InputError(
                f"{path} exists: choose another --run-name, or go on with --resume {path}"
            )


def require_writable(root: Path) -> None:
    """Whether folders can be made in `root`, which need not be there; nothing stays.

    Raises:
        InputError: They cannot.
    """
    with _writable(root):
        there = next(place for place in (root, *root.absolute().parents) if place.exists())
        with tempfile.TemporaryDirectory(dir=there):
            pass


def new_folder(root: Path, name: str) -> RunFolder:
    """Make the folder of a new run.

    Raises:
        InputError: See `check_new`; or the folder cannot be made.
    """
    check_new(root, name)
    path = root / name
    with _writable(path):
        root.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    return RunFolder(path)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Say of a folder that it cannot be made."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}: choose a folder that can be written"
        ) from error


def open_folder(path: Path) -> RunFolder:
    """The folder of an earlier run.

    Raises:
        InputError: It is not one.
    """
    if not (path / "run.json").is_file() and not (path / "config.yaml").is_file():
        raise InputError(f"{path} is not a run's folder (no run.json in it): give runs/NAME")
    return RunFolder(path)
