"""What a comparison keeps: its trainings by what they depend on, and a log of this process's trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nas.comparing.job import RATE, SEED, CompareJob
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Key, Outcome
from nas.engine.run_logs import RunLogs

if TYPE_CHECKING:
    from nas.comparing.trainings import Trainings

LOG = "trials.jsonl"


class CompareLogs(RunLogs):
    """The log of a comparison.

    It is written anew by each process: what has been trained is known from the trainings, which may have
    been removed since, or belong to other images.

    Args:
        folder: The run's folder, locked.
        trainings: Finished trainings.
        files: Name of each training that the plan has asked for.
    """

    def __init__(self, folder: RunFolder, trainings: Trainings, files: Mapping[Key, str]) -> None:
        for path in folder.path.glob("trials*.jsonl"):
            path.unlink()
        super().__init__(folder, LOG, frozenset({RATE, SEED}))
        self._trainings, self._files = trainings, files

    def keep_weights(self, key: Key, weights: bytes) -> None:
        """Keep a training's checkpoint and evidence.

        Raises:
            InputError: The disk is full.
        """
        self._trainings.keep(self._files[key], weights)

    def recall(self, job: CompareJob) -> Outcome | None:
        """Return the outcome of a training that any comparison has finished, else None."""
        if job.file not in self._trainings:
            return None
        known = self._trainings.read(job.file)
        return Outcome(known.held_out, train_s=known.train_s, px=job.spec.resolution)
