"""How the networks of a search are trained: from scratch, from a parent, or by the user's own evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nas.engine.folder.run_teacher import RunTeacher
from nas.engine.job import Evaluate, Job
from nas.engine.watching import Watcher
from nas.searching.from_parent.curve import Curve
from nas.searching.from_parent.rivals import Measure, Rival
from nas.searching.images import SearchImages
from nas.searching.results.metadata import ParentMetadata, TrainingMetadata


@dataclass(frozen=True)
class Ready:
    """What a search runs with.

    Attributes:
        evaluate: Trains a job.
        images: The images, as its networks see them.
        rivals: Networks to compare the finalists with.
        curve: Searches further latencies too.
    """

    evaluate: Evaluate[Job]
    images: SearchImages
    rivals: tuple[Rival, ...] = ()
    curve: Curve | None = None


class TrainingMethod(Protocol):
    """How the networks of a search are trained."""

    @property
    def metadata(self) -> TrainingMetadata:
        """How trials are trained, for the record."""
        ...

    @property
    def teacher(self) -> RunTeacher | None:
        """The network from a file that finalists learn from."""
        ...

    @property
    def parent_metadata(self) -> ParentMetadata | None:
        """The network whose sub-networks are searched, for the record."""
        ...

    def prepare(self, measure: Measure, targets_ms: Sequence[float], watcher: Watcher) -> Ready:
        """Do what precedes the first trial, in the locked folder; finished steps are loaded.

        Args:
            measure: Measures networks.
            targets_ms: The target on each device.
            watcher: Is notified of progress.
        """
        ...
