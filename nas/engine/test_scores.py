"""What the networks of a run's last trainings do on the test images: looked at once, and kept.

Nothing is chosen by it. NetAdapt chooses its proposals on held-out images, so its networks may do a little
better there than on images that it has never seen; how it stands to another network, test images tell.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence

from nas.atomic_files import read_json, write_whole
from nas.data.image_files.unreadable import UnreadableError
from nas.engine.run_folder import RunFolder
from nas.engine.trial import Trial
from search_spaces.shell import quoted

_log = logging.getLogger(__name__)

FILE = "tests.json"


def tested(
    folder: RunFolder, trials: Sequence[Trial], accuracy: Callable[[Trial], float]
) -> dict[str, float]:
    """The accuracy on the test images of each trial, by its name: see `name_of`.

    Args:
        folder: The run's; what it has already is not computed again.
        trials: Last trainings.
        accuracy: Finds it for a trial, 0..1.
    """
    known = read_tested(folder)
    for trial in trials:
        if name_of(trial) not in known:
            known[name_of(trial)] = accuracy(trial)
            write_whole(folder / FILE, json.dumps(known, indent=1) + "\n")
    return known


def read_tested(folder: RunFolder) -> dict[str, float]:
    """What is known of the run's networks on the test images, 0..1, by their trainings' names."""
    path = folder / FILE
    return read_json(path) if path.is_file() else {}


def name_of(trial: Trial) -> str:
    """A last training's: `uniform-finetune-0`."""
    return f"{trial.kind}-{trial.index}"


def untested(error: UnreadableError, folder: RunFolder) -> str:
    """Say that a finished run has no accuracy on the test images, and how to get it."""
    problem = f"no test accuracy: {error}; then nas evaluate {quoted(folder.path)} --data DIR"
    _log.warning("%s", problem)
    return problem
