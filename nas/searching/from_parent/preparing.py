"""Prepare a search from a parent: fine-tune it, order its channels, find its rivals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.checkpoints.known_classes import fits_classes
from nas.engine.folder.run_folder import RunFolder
from nas.engine.runner import stops_if_lost
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.several_gpus import over_gpus
from nas.engine.watching import Watcher, notify_preparing
from nas.formatting import ACCURACY
from nas.searching.arguments import require_images
from nas.searching.config import FidelityConfig, FinalsConfig
from nas.searching.fidelity import first_recipe
from nas.searching.from_parent.curve import Curve
from nas.searching.from_parent.heritages import Heritages
from nas.searching.from_parent.narrowed import narrowed_rival
from nas.searching.from_parent.parent import as_for, require_parent_of, require_task
from nas.searching.from_parent.rivals import Measure, Rival, read_standing, recorded_rivals
from nas.searching.from_parent.searched_parent import SearchedParent
from nas.searching.from_parent.training import Guest, SubNetworkTraining
from nas.searching.from_parent.tuning import PARENT
from nas.searching.from_parent.uncertainty import parents_interval
from nas.searching.images import SearchImages
from nas.searching.results.metadata import ParentMetadata, RivalMetadata, TrainingMetadata
from nas.searching.training_method import Ready
from nas.tasks import task_of
from nas.training.recipe import Recipe
from search_spaces import InputError, SearchSpace


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
        start = self.parent.checkpoint
        require_parent_of(self.space, start)
        require_task(start, self.images.proxy)
        first = () if fits_classes(start, self.images.proxy) else (self.parent.tuning,)
        for recipe in (*first, self.recipe, self.final_recipe):
            require_images(self.images, recipe, crop=start.usage.crop)
        for recipe in (self.recipe, self.final_recipe):
            self.schedule.require_parts(recipe)
        _ = self.rung_recipe  # fails if it would be too short

    @property
    def final_recipe(self) -> Recipe:
        """How finalists and their rivals train."""
        return self.finals.recipe or self.recipe.longer(self.finals.epochs_factor)

    @property
    def rung_recipe(self) -> Recipe | None:
        """How candidates train first, with multi-fidelity; None if they are looked at alone, or not.

        Raises:
            InputError: It would be too short.
        """
        if self.fidelity is None or self.fidelity.first == 0:
            return None
        return first_recipe(self.recipe, self.fidelity, train_images=len(self.images.proxy.train))

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
            recipe=None if fits_classes(start, largest) else self.parent.tuning,
            final_recipe=self.final_recipe,
            ranking_images=self.parent.ranking_images,
            rivals=tuple(
                RivalMetadata(name=name, weights=weights_digest(one.weights))
                for name, one in self.parent.rivals.items()
            ),
            narrowed=self.parent.narrow is not None,
            curve=self.parent.curve,
            temperature=self.parent.temperature,
            teacher_weight=self.parent.teaching,
        )

    def prepare(self, measure: Measure, targets_ms: Sequence[float], watcher: Watcher) -> Ready:
        """Fine-tune the parent, order its channels and find the rivals; finished steps are loaded."""
        space = require_parent_of(self.space, self.parent.checkpoint)
        rivals = self.parent.rivals
        if self.parent.narrow is not None and len(targets_ms) > 1:
            raise InputError(
                f"narrow makes a rival for one device, and there are {len(targets_ms)}: give one, or "
                "leave it out"
            )
        notify_preparing(
            watcher, "measuring the rivals: the parent, narrower and on smaller images"
        )
        with stops_if_lost():
            standing = recorded_rivals(
                self.run, space, measure=measure, targets_ms=targets_ms, named=rivals
            )
        heritages = Heritages(
            self.parent,
            space,
            self.run,
            self.schedule,
            self.seed,
            watcher,
            batch_size=max(self.recipe.batch_size, self.parent.tuning.batch_size),
        )
        tuned = heritages.tuned(PARENT, self.images.proxy)
        images = as_for(tuned, self.images)
        finals = heritages.heritage(PARENT, tuned, images.deployed)
        trials = heritages.of_trials(images) or finals
        if task_of(images.proxy.task).metric.name != ACCURACY:  # whose error the plan knows
            notify_preparing(watcher, parents_interval(trials))
        guests = self._guests(standing.rivals, images.proxy.classes)
        if self.parent.narrow is not None:
            index, network = narrowed_rival(
                self.parent.narrow,
                replace(tuned, spec=space.parent),
                images.proxy,
                self.run,
                measure=measure,
                target_ms=targets_ms[0],
                watcher=watcher,
            )
            guests[index] = Guest.of(network, images.proxy.classes, None)
            standing = read_standing(self.run)
        training = SubNetworkTraining(
            trials,
            finals,
            self.recipe,
            self.final_recipe,
            guests=guests,
            rung=self.rung_recipe,
            device=self.schedule.device,
            threads=self.schedule.cpus_per_trial,
        )
        curve = None
        if self.parent.curve:
            curve = Curve.of(
                space,
                self.parent.curve,
                parent_ms=[latency.median_ms for latency in standing.parent],
                rivals=standing.rivals,
                seed=self.seed,
            )
        evaluate = over_gpus(training, self.schedule.gpus_per_trial)
        return Ready(evaluate, images, standing.rivals, curve)

    def _guests(self, rivals: Sequence[Rival], classes: tuple[str, ...]) -> dict[int, Guest]:
        """Return the networks that the user named, by their place among the rivals."""
        from nas.checkpoints.torch_files import weights_digest

        named = {weights_digest(one.weights): one for one in self.parent.rivals.values()}
        return {
            index: Guest.of(named[rival.weights], classes, self.parent.tuning)
            for index, rival in enumerate(rivals)
            if rival.weights in named
        }
