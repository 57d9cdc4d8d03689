"""What the networks of a search inherit: which parent, in which order of channels, with which teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.atomic_files import read_json, write_whole
from nas.checkpoints.known_classes import fits_classes
from nas.engine.folder.run_folder import RunFolder
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.watching import Watcher, notify_preparing
from nas.searching.from_parent.parent import Parent
from nas.searching.from_parent.searched_parent import SearchedParent
from nas.searching.from_parent.set_aside import names_aside, set_aside
from nas.searching.from_parent.training import Heritage
from nas.searching.from_parent.tuning import PARENT, RANKING_PARENT, tuned_parent
from nas.searching.images import SearchImages
from nas.training.teacher_config import TeacherConfig
from nas.usable_cores import usable_cores
from search_spaces import ElasticSpace

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.training.progress import Progress
    from nas.training.teacher import Teacher

FOLD = "ranking-fold.json"
"""Names of the training images on which trials are ranked, as long as the run lasts."""


@dataclass(frozen=True)
class Heritages:
    """Fine-tunes the parents of a run and orders their channels; finished steps are loaded.

    Attributes:
        parent: The parent as given.
        space: Its sub-networks.
        run: The run's folder, locked.
        schedule: Where to train.
        seed: Random seed.
        watcher: Is notified of progress.
        batch_size: The largest of the recipes that train without the images set aside.
    """

    parent: SearchedParent
    space: ElasticSpace
    run: RunFolder
    schedule: ScheduleConfig
    seed: int
    watcher: Watcher
    batch_size: int

    def of_trials(self, images: SearchImages) -> Heritage | None:
        """Return what trials begin with, if they are ranked on images that were set aside."""
        if fits_classes(self.parent.checkpoint, images.proxy):
            return None  # it may have been trained on any of them
        path, wanted = self.run / FOLD, self.parent.ranking_images
        draw = {"batch_size": self.batch_size, "seed": self.seed}
        before = read_json(path) if path.is_file() else None
        aside = set_aside(images.deployed, wanted, before=before, **draw)
        if aside is None:
            return None
        if before is None and (names := names_aside(images.proxy, wanted, **draw)) is not None:
            write_whole(path, json.dumps(names) + "\n")
        return self.heritage(RANKING_PARENT, self.tuned(RANKING_PARENT, aside[max(aside)]), aside)

    def tuned(self, name: str, data: Dataset) -> Checkpoint:
        """Return a parent with the data's classes, fine-tuned if need be.

        Args:
            name: What the run calls it: `PARENT`, or `RANKING_PARENT`.
            data: Its images.
        """
        from nas.training.machine.device import worker_device  # imports torch

        role = "the parent" if name == PARENT else "the parent of trials"

        def show(progress: Progress) -> None:
            note = f"fine-tuning {role}: step {progress.step} of {progress.total_steps}"
            notify_preparing(self.watcher, note)

        return tuned_parent(
            self.run,
            self.parent.checkpoint,
            data,
            self.parent.tuning,
            seed=self.seed,
            # Nothing else trains meanwhile, so all cores are free.
            device=worker_device(self.schedule.device, threads=usable_cores()),
            kept=self.parent.kept,
            name=name,
            on_progress=show,
        )

    def heritage(self, name: str, tuned: Checkpoint, images: Mapping[int, Dataset]) -> Heritage:
        """Order the channels of a parent, once in a run, and make it a teacher.

        Args:
            name: See `tuned`.
            tuned: The parent.
            images: Those that inheriting networks train on, at each resolution.
        """
        from nas.checkpoints.importance import recorded_order

        notify_preparing(self.watcher, "ordering the parent's channels by importance")
        largest = images[max(images)]
        order = recorded_order(self.run / f"{name}-order.pt", tuned, largest)
        parent = Parent(self.space.parent, tuned.weights, order)
        return Heritage(parent, images, self._teacher(tuned, largest))

    def _teacher(self, tuned: Checkpoint, data: Dataset) -> Teacher | None:
        """Return a parent as the teacher of its sub-networks; None if its weight is 0."""
        from nas.checkpoints.teachers import teacher_of

        if self.parent.teaching == 0:
            return None
        config = TeacherConfig(
            path="parent",
            temperature=self.parent.temperature,
            weight=self.parent.teaching,
        )
        return teacher_of(tuned, data.classes, config)
