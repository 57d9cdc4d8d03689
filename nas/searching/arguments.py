"""Check the arguments of a search before anything is written, and build from them what it runs with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from latency import LatencySource
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_teacher import RunTeacher
from nas.engine.measuring import require_distinct
from nas.searching.config import FidelityConfig, FinalsConfig
from nas.searching.fidelity import first_recipe
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.searching.latency_warmup import PowerLaw
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError, SearchSpace

if TYPE_CHECKING:
    from nas.searching.from_scratch.overlap import Overlap
    from nas.searching.from_scratch.warm_start import WarmStart
    from nas.searching.images import SearchImages
    from nas.training.teacher import Teacher

UNLIMITED = 1_000_000
"""Number of trials if wall time ends the search."""


def aimed(
    latency: LatencySource | Sequence[LatencySource], target_ms: float | Sequence[float]
) -> tuple[tuple[LatencySource, ...], tuple[float, ...]]:
    """Return the latency sources and their targets, one per device.

    Raises:
        InputError: Their numbers differ, a target is not above 0, or two sources are the same device.
    """
    sources = tuple(latency) if isinstance(latency, Sequence) else (latency,)
    targets_ms = tuple(target_ms) if isinstance(target_ms, Sequence) else (target_ms,)
    if not sources or len(sources) != len(targets_ms):
        raise InputError(
            f"there are {len(sources)} devices and {len(targets_ms)} target_ms: give one per device"
        )
    for one_ms in targets_ms:
        if not 0 < one_ms < float("inf"):
            raise InputError(
                f"target_ms must be above 0, got {one_ms:g}: give the target in milliseconds"
            )
    require_distinct(sources)
    return sources, targets_ms


def most_trials(
    space: SearchSpace, trials: int | None, *, seconds: float | None, batch_size: int
) -> int:
    """Return the maximum number of trials, at most the number of networks in the space.

    Args:
        space: The space.
        trials: As wanted; None leaves it to the seconds.
        seconds: Time budget.
        batch_size: Candidates per controller update.

    Raises:
        InputError: A number is below 1.
    """
    for name, number in (("trials", trials), ("batch_size", batch_size), ("wall_time", seconds)):
        if number is not None and not number >= 1:
            raise InputError(f"{name} must be at least 1, got {number:g}")
    return min(UNLIMITED if trials is None else trials, math.prod(space.arities))


def require_alone(**others: object) -> None:
    """Check that a search from a parent has no argument that only one from scratch takes.

    Raises:
        InputError: It has one.
    """
    for name, given in others.items():
        if given:
            raise InputError(
                f"{name} applies to a search from scratch, and parent gives the weights, the training and "
                "the teacher: give one of them"
            )


def require_laws(laws: Sequence[PowerLaw], sources: Sequence[LatencySource]) -> None:
    """Check that there is a latency law per device, or none.

    Raises:
        InputError: There is not.
    """
    if len(laws) not in (0, len(sources)):
        raise InputError(
            f"latency_warmup has {len(laws)} laws for {len(sources)} devices: give one per device"
        )


def read_teacher(
    teacher: TeacherConfig | None, run: RunFolder, *, by_recipe: bool
) -> RunTeacher | None:
    """Read the teacher of a search's finalists.

    Args:
        teacher: Its settings, if there is one.
        run: The run's folder, which may have a copy.
        by_recipe: Whether the recipe trains finalists, rather than an evaluator of the user's own.

    Raises:
        InputError: Its file cannot be read, or an evaluator would ignore it.
    """
    if teacher is None:
        return None
    if not by_recipe:
        raise InputError(
            f"teacher {teacher.path} has no effect with evaluate, which trains finalists itself: give one "
            "of them"
        )
    return RunTeacher.read(teacher, run)


def proxy_training(
    images: SearchImages,
    recipe: Recipe,
    *,
    finals: FinalsConfig,
    fidelity: FidelityConfig | None,
    warm_start: WarmStart | Overlap | None,
    threads: int,
    device: str = "auto",
    teacher: Teacher | None = None,
) -> ProxyTraining:
    """Return the evaluator that trains the jobs of a search.

    Args:
        images: Images at the proxy resolution and at the deployed one.
        recipe: Training recipe of trials.
        finals: How finalists train.
        fidelity: Multi-fidelity settings.
        warm_start: What they begin with.
        threads: Number of torch threads.
        device: See `ProxyTraining`.
        teacher: The network that finalists learn from.

    Raises:
        InputError: There are fewer training images than a batch, or images with another center crop.
    """
    data, (final_data,) = images.proxy, images.deployed.values()
    require_images(images, recipe)
    rung = None
    if fidelity is not None:
        rung = first_recipe(recipe, fidelity, train_images=len(data.train))
    return ProxyTraining(
        data,
        final_data,
        recipe,
        final_factor=finals.epochs_factor,
        deployed_part=finals.deployed_part,
        device=device,
        threads=threads,
        warm_start=warm_start,
        rung=rung,
        teacher=teacher,
    )


def require_images(images: SearchImages, recipe: Recipe, *, crop: float | None = None) -> None:
    """Check that the images suit a recipe.

    Args:
        images: The images.
        recipe: A recipe for them.
        crop: Center crop of the network to fine-tune; that of the images by default.

    Raises:
        InputError: There are fewer training images than a batch, or images with another center crop.
    """
    from nas.data.images import require_batch, require_crop  # imports torch

    require_batch(images.proxy, recipe.batch_size)
    crop = recipe.evaluation_crop(images.proxy.preparation.crop if crop is None else crop)
    for data in (images.proxy, *images.deployed.values()):
        require_crop(data, crop)


def score_on_devices(
    reward: Callable[..., float],
    targets_ms: Sequence[float],
    accuracy: float,
    every_ms: Sequence[float],
) -> float:
    """Call a reward with numbers for one device, or with tuples for several.

    >>> from nas.searching.reward import Reward
    >>> score_on_devices(Reward(kind="hard"), [60.0], 0.8, [30.0])
    0.8
    """
    if len(targets_ms) == 1:
        return reward(accuracy, every_ms[0], target_ms=targets_ms[0])
    return reward(accuracy, tuple(every_ms), target_ms=tuple(targets_ms))
