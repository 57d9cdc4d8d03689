"""Test accuracy of a run's final trainings: scored once, and kept.

Nothing is chosen by it. NetAdapt chooses proposals on held-out images, so its networks are slightly
optimistic there; comparisons with other networks use the test images.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence

from nas.atomic_files import read_json, write_whole
from nas.data.image_files.unreadable import UnreadableError
from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial
from search_spaces.shell import quoted

_log = logging.getLogger(__name__)

FILE = "tests.json"


def tested(
    folder: RunFolder, trials: Sequence[Trial], accuracy: Callable[[Trial], float]
) -> dict[str, float]:
    """Return the test accuracy of each trial, by its name: see `name_of`.

    Args:
        folder: The run's; scores that it has are reused.
        trials: Final trainings.
        accuracy: Scores a trial, 0..1.
    """
    known = read_tested(folder)
    for trial in trials:
        if name_of(trial) not in known:
            known[name_of(trial)] = accuracy(trial)
            write_whole(folder / FILE, json.dumps(known, indent=1) + "\n")
    return known


def read_tested(folder: RunFolder) -> dict[str, float]:
    """Return the test accuracies that a run has, 0..1, by the names of the trainings."""
    path = folder / FILE
    return read_json(path) if path.is_file() else {}


def name_of(trial: Trial) -> str:
    """Return a final training's name: `uniform-finetune-0`."""
    return f"{trial.kind}-{trial.index}"


def untested(error: UnreadableError, folder: RunFolder) -> str:
    """Say that a finished run has no test accuracy, and how to get it."""
    problem = f"no test accuracy: {error}; then nas evaluate {quoted(folder.path)} --data DIR"
    _log.warning("%s", problem)
    return problem
