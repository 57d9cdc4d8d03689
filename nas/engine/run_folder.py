"""The run folder: what a search keeps, and how it is never lost.

config.yaml      every setting, as --config takes it (of the commands' runs)
run.json         what was searched: the space's decisions, the device, the data, the target
data.json.gz     names and sizes of its images, by split (of folders)
trials.jsonl     one line a finished trial, in the order asked: the truth of the run
finals.jsonl     the finalists' longer trainings, and repeats that show the noise
*.ahead.jsonl    trials that finished before their turn; moved into the log in order
spent.json       the wall time spent, and the batches' sizes that it decided (with a time budget)
space.yaml       the space, if it is the user's own (of the commands' runs)
warm-start-N.pt  what trials begin with the weights of, if anything (of the commands' runs)
policy.jsonl     the controller's probabilities after each batch, where it has any
weights/         the finalists' weights
result.json      the winner and its figures
best.yaml best.onnx best.json seed.pt pareto.csv report.html tensorboard/
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import filelock

from nas.atomic_files import write_whole
from nas.engine.job import Key
from nas.engine.trial import read_trials
from search_spaces import InputError
from search_spaces.shell import quoted


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
            InputError: Another process holds it, or nothing can be written in it.
        """
        lock = filelock.FileLock(self.path / ".lock", is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(
                f"{self.path}: another process holds this run: wait for it, or end it first"
            ) from None
        except OSError as error:
            raise InputError(
                f"{self.path}: {error.strerror}: a run goes on only where it can be written"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def hold(self) -> None:
        """Hold the folder until this process ends, or no one refers to this object any more.

        Raises:
            InputError: See `locked`.
        """
        held = ExitStack()
        # Of an object of its own: what ends with this one must not refer to it.
        held.enter_context(RunFolder(self.path).locked())
        self._held = weakref.finalize(self, held.close)

    @property
    def begun(self) -> bool:
        """Whether a trial has finished in it."""
        return bool(read_trials(self / "trials.jsonl")) or any(self.path.glob("*.ahead.jsonl"))

    @property
    def ending(self) -> bool:
        """Whether a training after the search has succeeded in it, in its turn or before."""
        logs = (self / "finals.jsonl", self / "finals.ahead.jsonl")
        return any(trial.ok for log in logs for trial in read_trials(log))

    def discard(self) -> None:
        """Remove the folder of a run that has not begun."""
        shutil.rmtree(self.path)

    def weights_path(self, key: Key) -> Path:
        """Where the weights of a training are kept."""
        kind, index = key
        path = self.path / "weights" / f"{kind}-{index}.pt"
        if kind == "final" and not path.exists():  # runs of before 0.2 called them so
            before = path.with_name(f"trial-{index}.pt")
            return before if before.exists() else path
        return path

    def keep_weights(self, key: Key, weights: bytes) -> None:
        """Keep a training's weights.

        Raises:
            InputError: The disk is full.
        """
        path = self.weights_path(key)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, weights)


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
            mend = (
                f"go on with --resume {quoted(path)}"
                if _is_run(path)
                else "remove it, as it is no run's"
            )
            raise InputError(f"{path} exists: choose another --run-name, or {mend}")


def free_name(root: Path, name: str) -> str:
    """The name, with a number where the folder of runs has it already."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(name for name in names if not (root / name).exists())


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
    if not _is_run(path):
        raise InputError(f"{path} is not a run's folder (no run.json in it): give runs/NAME")
    return RunFolder(path)


def _is_run(path: Path) -> bool:
    return (path / "run.json").is_file() or (path / "config.yaml").is_file()
