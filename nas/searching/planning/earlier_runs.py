"""Evidence from earlier runs: how noisy trials are with these images and this recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.atomic_files import read_object
from nas.engine.folder.records import parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import DataMetadata
from nas.searching.config import SearchConfig
from nas.searching.planning.evidence import Evidence
from nas.searching.results.metadata import SearchMetadata, labels_of, missing_keys
from nas.searching.results.record import RunRecord
from nas.statistics.noise import Noise, pooled
from nas.tasks import task_of
from search_spaces import InputError, SearchSpace

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset

MOST_RUNS = 5
"""Maximum number of runs to read, the newest first; more would add little."""


@dataclass(frozen=True)
class Earlier:
    """Evidence from similar runs.

    Attributes:
        noise: Pooled over the runs; None if none has any.
        names: Names of the runs, newest first.
        damaged: A sentence for each run that could not be read.
        evidence: Training lengths and accuracies of their trials; None if there are none.
    """

    noise: Noise | None
    names: tuple[str, ...]
    damaged: tuple[str, ...]
    evidence: Evidence | None = None

    @property
    def too_early(self) -> str | None:
        """Why trials should train longer before any other advice, if they should."""
        if self.noise is None or self.evidence is None:
            return None
        return self.evidence.too_early(self.noise.between_seeds)


def earlier_runs(
    root: Path,
    space: SearchSpace,
    data: Dataset,
    config: SearchConfig,
    *,
    parent: Checkpoint | None = None,
    held_out: int | None = None,
) -> Earlier:
    """Collect the noise of earlier runs with the same space, images, recipe and parent.

    Runs that begin with trained weights, or have multi-fidelity, are not comparable: their networks differ
    less than random ones.

    Args:
        root: Parent of the run folders; may be missing.
        space: Space of the planned search.
        data: Its images.
        config: Its settings.
        parent: The network whose sub-networks are searched, if any.
        held_out: Number of images that trials are compared on; by default those held out.
    """
    if config.warm_start or config.weights_from:
        return Earlier(None, (), ())
    found: dict[str, Noise] = {}
    accuracies: dict[str, float] = {}
    damaged = []
    for path in sorted(root.glob("*/run.json"), key=_age):
        try:
            if len(found) < MOST_RUNS and _alike(path, space, data, config, parent):
                run = RunRecord.read(RunFolder(path.parent))
                noise = run.noise
                # A run repeated with its seed, or copied, adds no evidence.
                if noise is not None and noise not in found.values():
                    found[path.parent.name] = noise
                    accuracies |= {t.fingerprint: t.accuracy or 0.0 for t in run.good}
        except InputError as error:
            damaged.append(f"an earlier run was ignored for the advice: {error}")
    if not found:
        return Earlier(None, (), tuple(damaged))
    task = task_of(data.task)
    evidence = Evidence(
        steps=config.recipe.total_steps(len(data.train)),
        networks=len(accuracies),
        best=max(accuracies.values()),
        chance=task.chance(data.val, classes=len(data.classes)),
        held_out=len(data.val) if held_out is None else held_out,
        metric=task.metric.name,
    )
    return Earlier(pooled(list(found.values())), tuple(found), tuple(damaged), evidence)


def _alike(
    path: Path,
    space: SearchSpace,
    data: Dataset,
    config: SearchConfig,
    parent: Checkpoint | None,
) -> bool:
    """Return whether a run's accuracies are comparable; settings that it lacks had their default.

    Raises:
        InputError: Its `run.json` is damaged.
    """
    content = read_object(path, remedy="restore it from a copy")
    if missing_keys(content):  # a NetAdapt run's
        return False
    run = parse_record(SearchMetadata, content, where=path)
    training = run.training
    if training is None or not training.by_recipe:
        return False
    if training.warm_start or training.weights_from or training.fidelity:
        return False
    described = (space.name, labels_of(space), DataMetadata.of(data), config.recipe)
    if (run.space, run.labels, run.data, training.recipe) != described:
        return False
    if parent is None or run.parent is None or config.parent is None:
        return parent is None and run.parent is None
    from nas.checkpoints.torch_files import weights_digest  # imports torch

    ours = weights_digest(parent.weights), config.parent.ranking_images
    return (run.parent.weights, run.parent.ranking_images) == ours


def _age(path: Path) -> float:
    return -path.stat().st_mtime
