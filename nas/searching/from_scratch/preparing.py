"""Train the networks of a search from new weights, or by the user's own evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_teacher import RunTeacher
from nas.engine.job import Evaluate, Job
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.several_gpus import over_gpus
from nas.engine.watching import Watcher
from nas.searching.arguments import proxy_training, read_teacher
from nas.searching.config import FidelityConfig, FinalsConfig
from nas.searching.fidelity import as_it_trains
from nas.searching.from_parent.rivals import Measure
from nas.searching.from_scratch.overlap import Overlap
from nas.searching.from_scratch.warm_start import WarmStart
from nas.searching.images import SearchImages
from nas.searching.results.metadata import TrainingMetadata
from nas.searching.training_method import Ready
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError, SearchSpace

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True)
class ScratchOptions:
    """Arguments of `nas.search` that only a search from scratch takes; see there.

    Attributes:
        warm_start: Networks of the space that trials are initialized from.
        weights_from: A network whose weights trials and finalists begin with where they overlap.
        teacher: A network that finalists learn from.
        evaluate: Trains a job in place of the recipe.
    """

    warm_start: Sequence[Checkpoint] = ()
    weights_from: Checkpoint | None = None
    teacher: TeacherConfig | None = None
    evaluate: Evaluate[Job] | None = None


@dataclass(frozen=True)
class FromScratch:
    """Trains the networks of a search from new weights.

    Attributes:
        images: The images.
        metadata: How trials are trained, for the record.
        teacher: A network that finalists learn from.
        evaluate: Trains a job.
    """

    images: SearchImages
    metadata: TrainingMetadata
    teacher: RunTeacher | None
    evaluate: Evaluate[Job]

    parent_metadata = None

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        images: SearchImages,
        recipe: Recipe,
        options: ScratchOptions,
        *,
        finals: FinalsConfig,
        fidelity: FidelityConfig | None,
        schedule: ScheduleConfig,
        run: RunFolder,
    ) -> FromScratch:
        """Check the arguments of a search, before anything is written; see `nas.run_search.search`.

        Raises:
            InputError: One is invalid, or two do not fit each other.
        """
        warm_start, weights_from = options.warm_start, options.weights_from
        evaluate = options.evaluate
        if warm_start and weights_from is not None:
            raise InputError(
                "warm_start and weights_from both say what trials begin with: give one of them"
            )
        data, by_recipe = images.proxy, evaluate is None
        warm = WarmStart.of(space, warm_start, classes=len(data.classes)) if warm_start else None
        overlap = None
        if weights_from is not None:
            overlap = Overlap.of(space, weights_from)
            images = images.normalized_as(weights_from.usage)
        elif by_recipe and recipe.normalization != "data":
            from nas.checkpoints.usage import NORMALIZATIONS  # imports torch

            images = images.normalized(*NORMALIZATIONS[recipe.normalization])
        if by_recipe and warm is None and overlap is None:
            recipe.require_new_weights()
        taught = read_teacher(options.teacher, run, by_recipe=by_recipe)
        if by_recipe and fidelity is not None:
            fidelity = as_it_trains(fidelity, recipe, train_images=len(data.train))
        metadata = TrainingMetadata(
            by_recipe=by_recipe,
            recipe=recipe,
            finals_factor=finals.epochs_factor,
            deployed_part=finals.deployed_part,
            warm_start=warm.metadata() if warm else (),
            weights_from=overlap.metadata() if overlap else None,
            fidelity=fidelity,
        )
        if evaluate is None:
            if images.sizes.searched:
                raise InputError(
                    f"space {space.name} searches resolution, which trials from scratch do not: give a "
                    "parent, or a space with one resolution"
                )
            own = proxy_training(
                images,
                recipe,
                finals=finals,
                fidelity=fidelity,
                warm_start=warm or overlap,
                teacher=taught.teacher(data.classes) if taught else None,
                threads=schedule.cpus_per_trial,
                device=schedule.device,
            )
            schedule.require_parts(recipe)
            evaluate = over_gpus(own, schedule.gpus_per_trial)
        return cls(images, metadata, taught, evaluate)

    def prepare(self, measure: Measure, targets_ms: Sequence[float], watcher: Watcher) -> Ready:  # noqa: ARG002
        """See `TrainingMethod`: nothing precedes the first trial."""
        return Ready(self.evaluate, self.images)
