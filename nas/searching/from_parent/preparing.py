"""Prepare a search from a parent: fine-tune it, order its channels, find its rivals."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nas.engine.folder.run_folder import RunFolder
from nas.engine.runner import stops_if_lost
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.several_gpus import over_gpus
from nas.engine.watching import Watcher, notify_preparing
from nas.searching.arguments import require_images
from nas.searching.config import FidelityConfig, FinalsConfig
from nas.searching.fidelity import first_recipe
from nas.searching.from_parent.curve import Curve
from nas.searching.from_parent.parent import (
    Parent,
    as_for,
    fits_classes,
    require_parent_of,
)
from nas.searching.from_parent.rivals import Measure, recorded_rivals
from nas.searching.from_parent.set_aside import set_aside
from nas.searching.from_parent.training import Guest, Heritage, SubNetworkTraining
from nas.searching.from_parent.tuning import PARENT, RANKING_PARENT, tuned_parent
from nas.searching.images import SearchImages
from nas.searching.results.metadata import ParentMetadata, TrainingMetadata
from nas.searching.training_method import Ready
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import ElasticSpace, SearchSpace

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.training.progress import Progress
    from nas.training.teacher import Teacher


@dataclass(frozen=True)
class SearchedParent:
    """The trained network of an elastic space, and how a search uses it.

    Attributes:
        checkpoint: The network.
        recipe: How it is fine-tuned first, if it was trained on other classes.
        ranking_images: Images to rank trials on: those held out, and as many training images as are missing
            (`nas.searching.from_parent.set_aside`). A parent that knows the classes already may have seen
            them, so then only those held out.
        temperature: Of the parent as teacher: see `nas.training.teacher_config.TeacherConfig`.
        teacher_weight: See there; 0 trains without a teacher.
        kept: Folder of parents that earlier runs have fine-tuned; None keeps the parent in the run alone.
        rivals: Further trained networks to compare finalists with, by name.
        curve: Number of further latencies, between the parent's and a quarter of it, at which the best
            sub-network is searched and trained too.
    """

    checkpoint: Checkpoint
    recipe: Recipe = field(default_factory=lambda: read_recipe("finetune"))
    ranking_images: int = 1000
    temperature: float = 2.0
    teacher_weight: float = 0.5
    kept: Path | None = None
    rivals: Mapping[str, Checkpoint] = field(default_factory=dict)
    curve: int = 0


@dataclass(frozen=True)
class FromParent:
    """Trains the networks of a search from the weights of a parent.

    Attributes:
        parent: The parent.
        space: Its sub-networks.
        images: The images, as read.
        recipe: Recipe of trials.
        finals: How finalists train.
        fidelity: Multi-fidelity settings.
        schedule: Where trials train.
        run: The run's folder.
        seed: Random seed of the parent's fine-tuning.
    """

    parent: SearchedParent
    space: SearchSpace
    images: SearchImages
    recipe: Recipe
    finals: FinalsConfig
    fidelity: FidelityConfig | None
    schedule: ScheduleConfig
    run: RunFolder
    seed: int

    teacher = None  # the parent itself, which the run keeps anyway

    def __post_init__(self) -> None:
        """Check that the parts fit each other.

        Raises:
            InputError: They do not.
        """
        require_parent_of(self.space, self.parent.checkpoint)
        for recipe in (self.recipe, self.final_recipe):
            require_images(self.images, recipe, crop=self.parent.checkpoint.usage.crop)
            self.schedule.require_parts(recipe)

    @property
    def final_recipe(self) -> Recipe:
        """How finalists and their rivals train."""
        return self.finals.recipe or self.recipe.longer(self.finals.epochs_factor)

    @property
    def metadata(self) -> TrainingMetadata:
        """How trials are trained, for the record."""
        return TrainingMetadata(
            recipe=self.recipe, finals_factor=self.finals.epochs_factor, fidelity=self.fidelity
        )

    @property
    def parent_metadata(self) -> ParentMetadata:
        """The parent, for the record."""
        from nas.checkpoints.torch_files import weights_digest

        start, largest = self.parent.checkpoint, self.images.proxy
        return ParentMetadata(
            fingerprint=start.spec.fingerprint,
            weights=weights_digest(start.weights),
            recipe=None if fits_classes(start, largest) else self.parent.recipe,
            final_recipe=self.final_recipe,
            ranking_images=self.parent.ranking_images,
            rivals={name: weights_digest(one.weights) for name, one in self.parent.rivals.items()},
            curve=self.parent.curve,
            temperature=self.parent.temperature,
            teacher_weight=self.parent.teacher_weight,
        )

    def prepare(self, measure: Measure, targets_ms: Sequence[float], watcher: Watcher) -> Ready:
        """Fine-tune the parent, order its channels and find the rivals; what is done already is read."""
        space = require_parent_of(self.space, self.parent.checkpoint)
        named = self.parent.rivals
        notify_preparing(
            watcher, "measuring the rivals: the parent, narrower and on smaller images"
        )
        with stops_if_lost():
            standing = recorded_rivals(
                self.run,
                space,
                measure=measure,
                targets_ms=targets_ms,
                named=named,
            )
        tuned = self._tuned(PARENT, self.images.proxy, watcher)
        images = as_for(tuned, self.images)
        finals = self._heritage(PARENT, space, tuned, images.deployed, watcher)
        trials = self._of_trials(space, images, watcher) or finals
        rung = None
        if self.fidelity is not None and self.fidelity.first > 0:
            train_images = len(images.proxy.train)
            rung = first_recipe(self.recipe, self.fidelity, train_images=train_images)
        training = SubNetworkTraining(
            trials,
            finals,
            self.recipe,
            self.final_recipe,
            guests={
                index: Guest.of(rival, images.proxy.classes, self.parent.recipe)
                for index, rival in enumerate(named.values())  # recorded first, in this order
            },
            rung=rung,
            device=self.schedule.device,
            threads=self.schedule.cpus_per_trial,
        )
        curve = Curve.of(
            space,
            self.parent.curve,
            parent_ms=[latency.median_ms for latency in standing.parent],
            rivals=standing.rivals,
            seed=self.seed,
        )
        evaluate = over_gpus(training, self.schedule.gpus_per_trial)
        return Ready(evaluate, images, standing.rivals, curve)

    def _of_trials(
        self, space: ElasticSpace, images: SearchImages, watcher: Watcher
    ) -> Heritage | None:
        """Return what trials begin with, if they are ranked on images that were set aside."""
        if fits_classes(self.parent.checkpoint, self.images.proxy):
            return None  # it may have been trained on any of them
        aside = set_aside(images.deployed, self.parent.ranking_images, seed=self.seed)
        if aside is None:
            return None
        tuned = self._tuned(RANKING_PARENT, aside[max(aside)], watcher)
        return self._heritage(RANKING_PARENT, space, tuned, aside, watcher)

    def _tuned(self, name: str, data: Dataset, watcher: Watcher) -> Checkpoint:
        """Return a parent with the data's classes, fine-tuned if need be."""
        from nas.training.machine.device import worker_device  # imports torch

        role = "the parent" if name == PARENT else "the parent of trials"

        def show(progress: Progress) -> None:
            note = f"fine-tuning {role}: step {progress.step} of {progress.total_steps}"
            notify_preparing(watcher, note)

        return tuned_parent(
            self.run,
            self.parent.checkpoint,
            data,
            self.parent.recipe,
            seed=self.seed,
            # Nothing else trains meanwhile, so all cores are free.
            device=worker_device(self.schedule.device, threads=os.cpu_count() or 1),
            kept=self.parent.kept,
            name=name,
            on_progress=show,
        )

    def _heritage(
        self,
        name: str,
        space: ElasticSpace,
        tuned: Checkpoint,
        images: Mapping[int, Dataset],
        watcher: Watcher,
    ) -> Heritage:
        """Order the channels of a parent, once in a run, and make it a teacher."""
        from nas.checkpoints.importance import recorded_order

        notify_preparing(watcher, "ordering the parent's channels by importance")
        largest = images[max(images)]
        order = recorded_order(self.run / f"{name}-order.pt", tuned, largest)
        parent = Parent(space.parent, tuned.weights, order)
        return Heritage(parent, images, self._teacher(tuned, largest))

    def _teacher(self, tuned: Checkpoint, data: Dataset) -> Teacher | None:
        """Return the parent as the teacher of its sub-networks; None if its weight is 0."""
        from nas.checkpoints.teachers import teacher_of

        if self.parent.teacher_weight == 0:
            return None
        config = TeacherConfig(
            path="parent",
            temperature=self.parent.temperature,
            weight=self.parent.teacher_weight,
        )
        return teacher_of(tuned, data.classes, config)
