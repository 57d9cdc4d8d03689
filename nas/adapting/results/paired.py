"""How the adapted network differs from its baselines on the same test images, training by training.

Both networks of a pair were trained with the same seed. As with `nas.engine.final_scores`, a pair is
compared once, and kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from nas.adapting.kinds import TRAININGS, baseline_of, training_of
from nas.atomic_files import read_json, write_whole
from nas.engine.final_scores import name_of
from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial
from nas.tasks.intervals import Difference

if TYPE_CHECKING:
    from nas.tasks.task import Evidence

FILE = "paired.json"


def paired(
    folder: RunFolder, trials: Sequence[Trial], evidence: Callable[[Trial], Evidence]
) -> dict[str, Difference]:
    """Return how much better the adapted network is, by the name of each baseline's final training.

    Args:
        folder: The run's; differences that it has are reused.
        trials: Final trainings of the adapted network and of baselines.
        evidence: Returns what a network does on the test images.
    """
    known = read_paired(folder)
    ours = {(trial.kind, trial.index): trial for trial in trials if trial.kind in TRAININGS}
    for trial in trials:
        own = ours.get((training_of(trial.kind), trial.index))
        if own is None or not baseline_of(trial.kind) or name_of(trial) in known:
            continue
        known[name_of(trial)] = evidence(own).minus(evidence(trial))
        content = {name: asdict(difference) for name, difference in known.items()}
        write_whole(folder / FILE, json.dumps(content, indent=1) + "\n")
    return known


def read_paired(folder: RunFolder) -> dict[str, Difference]:
    """Return the differences that a run has, by the name of the baseline's training."""
    path = folder / FILE
    return {k: Difference(**v) for k, v in read_json(path).items()} if path.is_file() else {}
