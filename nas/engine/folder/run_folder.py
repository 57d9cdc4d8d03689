"""The run folder, which holds all state of a search.

config.yaml      all settings, as accepted by --config (runs of the commands)
run.json         metadata: the space's decisions, device, data and target
data.json.gz     names and sizes of the images by split (image folders)
trials.jsonl     one line per finished trial, in the order asked; the authoritative record
finals.jsonl     longer trainings of the finalists, and repeats that measure the noise
*.ahead.jsonl    trials that finished out of order; moved into the log in order
spent.json       the wall time spent and the batch sizes chosen (with a time budget)
space.yaml       the user's own space (runs of the commands)
warm-start-N.pt  networks that trials are initialized from (runs of the commands)
teacher.pt       the network that finalists learn from, if any
first-policy.pt  the policy that the controller began with, if any (runs of the commands)
start.pt         the parent as given (runs of the commands)
parent/          state of the parent's fine-tuning
parent.pt        the parent, trained on the run's classes
parent-order.pt  the order of importance of its channels
ranking-parent*  the same of the parent of trials, if it is another
rivals.json      networks to compare finalists with; those that the user names are in rivals/
netadapt/        the NetAdapt run that makes one more rival of the parent: netadapt.pt
policy.jsonl     the controller's probabilities after each batch, if it has a policy
policy.pt        its policy after the last batch, with which another search can begin
weights/         the finalists' weights
networks/        the same as checkpoints: what pareto.csv names
result.json      the winner and its figures
examined.json.gz what seed.pt does on the test images (runs of the commands)
best.yaml best.onnx best.json seed.pt pareto.csv report.html tensorboard/
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import filelock

from nas.atomic_files import remove_parts, write_whole
from nas.engine.job import Key
from nas.engine.trial import read_trials
from search_spaces import InputError
from search_spaces.shell import quoted

NAMED_RUNS = 3

OF_PARENT = ("rivals.json", "parent", "parent.pt")
"""Files of a search from a parent that precede its first trial; the first is there within seconds."""


LOCKLESS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors of file systems without locks, as NFS may be."""


class RunFolder:
    """A run's folder, used by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder, and remove what a killed process was writing.

        The system releases the lock if the process dies.

        Raises:
            InputError: Another process holds the lock, the folder is not writable, or the file system has
                no locks.
        """
        lock = filelock.FileLock(self.path / ".lock", is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(
                f"{self.path}: another process is using this run: wait for it, or stop it first"
            ) from None
        except OSError as error:
            mend = "make the folder writable to resume"
            if error.errno in LOCKLESS:
                mend = "this file system has no locks: give --runs on a local disk, or move the run there"
            raise InputError(f"{self.path}: {error.strerror}: {mend}") from error
        try:
            remove_parts(self.path)
            yield
        finally:
            lock.release()

    def hold(self) -> None:
        """Lock the folder until the process ends or this object is garbage-collected.

        Raises:
            InputError: See `locked`.
        """
        held = ExitStack()
        # A separate object, as the finalizer must not keep this one alive.
        held.enter_context(RunFolder(self.path).locked())
        self._held = weakref.finalize(self, held.close)

    @property
    def search_begun(self) -> bool:
        """Whether a trial of a search has finished, or a training of a rival."""
        logs = (self / "trials.jsonl", self / "finals.jsonl")
        return any(map(read_trials, logs)) or any(self.path.glob("*.ahead.jsonl"))

    @property
    def prepared(self) -> bool:
        """Whether a search from a parent has done work that a resumed run can reuse."""
        return any((self / name).exists() for name in OF_PARENT)

    @property
    def ending(self) -> bool:
        """Whether a final training has succeeded, in order or ahead of it."""
        logs = (self / "finals.jsonl", self / "finals.ahead.jsonl")
        return any(trial.ok for log in logs for trial in read_trials(log))

    def discard(self) -> None:
        """Remove the folder of a run that has done nothing yet."""
        shutil.rmtree(self.path)

    def weights_path(self, key: Key) -> Path:
        """Return the path for the weights of a training."""
        kind, index = key
        path = self.path / "weights" / f"{kind}-{index}.pt"
        if kind == "final" and not path.exists():  # their name before version 0.2
            before = path.with_name(f"trial-{index}.pt")
            return before if before.exists() else path
        return path

    def keep_weights(self, key: Key, weights: bytes) -> None:
        """Save the weights of a training.

        Raises:
            InputError: The disk is full.
        """
        path = self.weights_path(key)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, weights)


def check_new(root: Path, name: str) -> None:
    """Check the name of a new run, before anything is measured.

    Raises:
        InputError: It is not a folder name, or is already used.
    """
    if not name or name.startswith(".") or Path(name).name != name:
        raise InputError(f"run name {name!r} is not a folder name: use letters, digits, - and _")
    path = root / name
    with _writable(path):
        if path.exists():
            mend = (
                f"resume it with --resume {quoted(path)}"
                if _is_run(path)
                else "remove it (it is not a run)"
            )
            raise InputError(f"{path} exists: choose another --run-name, or {mend}")


def free_name(root: Path, name: str) -> str:
    """Return the name, with a number appended if it is already used."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(name for name in names if not (root / name).exists())


def require_writable(root: Path) -> None:
    """Check that a folder can be created in `root`, which need not exist.

    Raises:
        InputError: It cannot.
    """
    with _writable(root):
        there = next(path for path in (root, *root.absolute().parents) if path.exists())
        with tempfile.TemporaryDirectory(dir=there):
            pass


def new_folder(root: Path, name: str) -> RunFolder:
    """Create the folder of a new run.

    Raises:
        InputError: See `check_new`; or the folder cannot be created.
    """
    check_new(root, name)
    path = root / name
    with _writable(path):
        root.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    return RunFolder(path)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Turn an OSError into an InputError about the folder."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: choose a writable folder") from error


def open_folder(path: Path) -> RunFolder:
    """Open the folder of an earlier run.

    Raises:
        InputError: It is not a run's folder.
    """
    if not path.exists():
        near = [folder.parent for folder in path.parent.glob("*/run.json")]
        there = ", ".join(str(run) for run in sorted(near)[-NAMED_RUNS:])
        raise InputError(f"no folder {path}: {f'there are {there}' if there else 'give runs/NAME'}")
    if not _is_run(path):
        raise InputError(f"{path} is not a run's folder (no run.json in it): give runs/NAME")
    return RunFolder(path)


def _is_run(path: Path) -> bool:
    return (path / "run.json").is_file() or (path / "config.yaml").is_file()
