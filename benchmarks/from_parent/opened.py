"""Open the run of a search from a parent, with its images and what was prepared for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.cli.search.job import Job
from nas.cli.search.opening import reopen
from nas.display.output import messages
from nas.engine.folder.run_folder import RunFolder
from nas.engine.measuring import measure
from nas.engine.watching import Silent
from nas.searching.config import ParentConfig
from nas.searching.from_parent.preparing import FromParent
from nas.searching.from_parent.rivals import Readings, Rival, recorded_rivals
from nas.searching.from_parent.training import SubNetworkTraining
from nas.searching.images import SearchImages
from search_spaces import ArchSpec, ElasticSpace, InputError


@dataclass(frozen=True)
class Opened:
    """A search from a parent with its images, as it is resumed; the run is locked.

    Attributes:
        search: The search.
        folder: Its folder.
        config: The settings of its parent.
        space: The parent's sub-networks.
        training: How trials and finalists train.
        images: The images at each resolution, as the networks see them.
        rivals: What the finalists were compared with.
        targets_ms: The target on each device.
    """

    search: Job
    folder: RunFolder
    config: ParentConfig
    space: ElasticSpace
    training: SubNetworkTraining
    images: SearchImages
    rivals: tuple[Rival, ...]
    targets_ms: tuple[float, ...]

    @property
    def parent(self) -> Checkpoint:
        """The fine-tuned parent."""
        return load_checkpoint(self.folder / "parent.pt")

    def overrun(self, spec: ArchSpec) -> float:
        """Return a network's latency relative to the target, on the device where that is highest."""
        return Readings(partial(measure, self.search.sources), self.targets_ms).overrun(spec)

    def at(self, targets_ms: tuple[float, ...], folder: Path) -> Opened:
        """Return the search with other targets, and the rivals that meet these.

        Args:
            targets_ms: The target on each device.
            folder: Keeps the rivals.
        """
        measured = partial(measure, self.search.sources)
        standing = recorded_rivals(
            RunFolder(folder), self.space, measure=measured, targets_ms=targets_ms
        )
        return replace(self, targets_ms=targets_ms, rivals=standing.rivals)


def open_run(path: Path) -> Opened:
    """Open a search's run and what was prepared for it; what is missing is prepared now.

    Raises:
        InputError: It is not a search from a parent, is in use, or its images have changed.
    """
    job, folder, _ = reopen(path, {}, messages())
    config, own = job.config, job.config.parent
    parent = job.searched_parent(folder)
    if parent is None or own is None or not isinstance(job.space, ElasticSpace):
        raise InputError(f"{path} is a search from scratch: give the run of a search from a parent")
    method = FromParent(
        parent,
        job.space,
        SearchImages.of(job.space, job.data, job.images),
        config.recipe,
        config.finals,
        config.fidelity,
        config.schedule,
        folder,
        seed=config.seed,
    )
    ready = method.prepare(partial(measure, job.sources), config.targets_ms, Silent())
    if not isinstance(ready.evaluate, SubNetworkTraining):
        raise InputError(f"{path} trains each network on several GPUs, which is not supported here")
    return Opened(
        job,
        folder,
        own,
        job.space,
        ready.evaluate,
        ready.images,
        ready.rivals,
        config.targets_ms,
    )
