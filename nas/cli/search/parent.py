"""Open a search from a parent: its file, its resolutions, and the space of its sub-networks."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from rich.console import Console

from latency import Cached, Latency, LatencySource, Measured, Paced
from nas.cli.search.head import with_head_for
from nas.cli.search.job import Job, open_controller
from nas.cli.search.policy import require_policy_fits
from nas.cli.search.reading import reader, with_fidelity
from nas.cli.trained import RIVALS, network_name, open_trained
from nas.engine.folder.data_changes import Resumed
from nas.formatting import counted
from nas.searching.config import ParentConfig, SearchConfig
from nas.searching.from_parent.rivals import read_standing
from nas.searching.run_policy import RunPolicy
from nas.searching.sizes import Sizes
from nas.tasks import CLASSIFY, task_of_spec
from search_spaces import ArchSpec, ElasticSpace, InputError
from search_spaces.errors import first_problem
from search_spaces.spaces.elastic import total_stride
from search_spaces.spaces.elastic_file import ElasticFile

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.load import ImageSource

LEAST_PER_CLASS = 2

SMALLEST = 0.5
"""The smallest resolution by default, as a fraction of the largest."""

MOST_RESOLUTIONS = 5


def open_parent(config: ParentConfig) -> Checkpoint:
    """Read the parent's checkpoint, or fetch published weights.

    Raises:
        InputError: It is not a trained network, or cannot be read or fetched.
    """
    return open_trained(config.path, mend="leave --parent out")


def open_rivals(config: ParentConfig) -> dict[str, Checkpoint]:
    """Read the networks to compare with, by name.

    Raises:
        InputError: One is not a trained network, or two have the same name.
    """
    rivals: dict[str, Checkpoint] = {}
    for path in config.rivals:
        name = network_name(path)
        if name in rivals:
            raise InputError(f"--rival: two networks are called {name}: rename one of the files")
        rivals[name] = open_trained(path, mend="leave --rival out")
    return rivals


def beside_parent(
    source: LatencySource, parent: ArchSpec, known: Latency | None = None
) -> LatencySource:
    """Return a device's source that measures its networks next to their parent.

    Args:
        source: The device; cached if it measures.
        parent: The parent, at its largest resolution.
        known: The parent's latency in the run that is resumed, whose pace is kept.
    """
    if isinstance(source, Cached) and isinstance(source.source, Measured):
        anchor_ms = None if known is None else known.anchor_ms
        return Paced(source.source.with_anchor(parent), anchor_ms=anchor_ms)
    return source


def require_enough_images(images: ImageSource) -> None:
    """Check that there are two training images for each class, on average.

    Raises:
        InputError: There are fewer.
    """
    found, classes = len(images.pictures["train"]), len(images.classes)
    if found < LEAST_PER_CLASS * classes:
        raise InputError(
            f"{images.name} has {counted(found, 'training image')} of {classes} classes: give at least "
            f"{LEAST_PER_CLASS} of each, better dozens"
        )


def default_resolutions(parent: Checkpoint, largest: int) -> tuple[int, ...]:
    """Return up to five multiples of the network's stride, from the largest down to half of it.

    Those of a dilated network are as far apart as without its dilation.

    Raises:
        InputError: Not one fits.
    """
    stride = total_stride(parent.spec)
    dilation = max((block.dilation for block in parent.spec.blocks), default=1)
    sides = range(largest - largest % stride, 0, -stride * dilation)
    chosen = [side for side in sides if side >= SMALLEST * largest][:MOST_RESOLUTIONS]
    if not chosen:
        raise InputError(
            f"the images have {largest} px, less than the network's stride of {stride} px: give larger "
            f"images, --resolution {stride}, or --from-scratch"
        )
    return tuple(chosen)


def elastic_space(
    source: str, parent: Checkpoint, resolutions: tuple[int, ...], *, classes: int
) -> ElasticSpace:
    """Return the space of a parent's sub-networks: all of them, or those of the user's own file.

    Raises:
        InputError: A resolution does not fit the network, or the file is invalid.
    """
    own = ElasticFile.read(source)
    if own is not None:
        return replace(own, parent=parent.spec).space(classes=classes, resolutions=resolutions)
    try:
        return ElasticSpace.of(parent.spec, classes=classes, resolutions=resolutions)
    except ValidationError as error:
        raise InputError(f"--resolutions: {first_problem(error)}") from error


def parent_file(folder: Path) -> Path:
    """Return a run's copy of its parent, as it was given."""
    return folder / "start.pt"


def rival_file(name: str) -> str:
    """Return the path of a run's copy of a rival, within the run's folder."""
    return f"{RIVALS}/{name}.pt"


def open_from_parent(
    config: SearchConfig,
    given: Checkpoint,
    images: ImageSource,
    console: Console,
    *,
    sources: tuple[LatencySource, ...],
    policy: RunPolicy | None,
    began_s: float,
    resumed: Resumed | None = None,
) -> Job:
    """Open the inputs of a search of a parent's sub-networks.

    Args:
        config: The search's settings.
        given: The parent, as it was given.
        images: The images, not read yet.
        console: Shows progress.
        sources: The devices.
        policy: The policy that the controller begins with, if any.
        began_s: `time.monotonic` when the command started.
        resumed: The resumed run, if any.

    Raises:
        InputError: Two inputs do not fit together, or an image cannot be read.
    """
    from nas.checkpoints.checkpoint import checkpoint_bytes  # imports torch

    assert config.parent is not None
    _require_alone(config, devices=len(sources))
    require_enough_images(images)
    parent = with_head_for(images, given, named=config.parent.path, head=config.head)
    sides = config.parent.resolutions
    largest = config.resolution or (max(sides) if sides else images.default_px())
    resolutions = sides or default_resolutions(parent, largest)
    largest = max(resolutions)
    space = elastic_space(config.space, parent, resolutions, classes=len(images.classes))
    own = config.parent.model_copy(update={"resolutions": resolutions})
    config = config.model_copy(update={"parent": own}).with_sizes(Sizes(largest, largest))
    open_controller(config, space.arities)
    require_policy_fits(policy, config, space)
    known = () if resumed is None else read_standing(resumed.folder).parent
    sources = tuple(
        beside_parent(source, space.parent, latency)
        for source, latency in zip_longest(sources, known)
    )
    copied = open_rivals(own)
    rivals = {
        name: with_head_for(images, one, named=f"--rival {name}", head=_head_of(one, config))
        for name, one in copied.items()
    }
    copies = {parent_file(Path()).name: checkpoint_bytes(given, run=given.run)}
    copies |= {rival_file(name): checkpoint_bytes(one, run=one.run) for name, one in copied.items()}
    read = reader(config, images, console)
    data = {
        px: read(px, beside_px=tuple(other for other in resolutions if other != px))
        for px in space.resolutions
    }
    config = with_fidelity(config, data[largest])
    finals = config.finals.as_it_trains(config.recipe, train_images=len(data[largest].train))
    return Job(
        config.model_copy(update={"finals": finals}),
        space,
        sources,
        images,
        data[largest],
        data[largest],
        console,
        parent=parent,
        policy=policy,
        rivals=rivals,
        images=data,
        copies=copies,
        began_s=began_s,
    )


def _head_of(rival: Checkpoint, config: SearchConfig) -> str | None:
    """Return the head that a rival gets: that of the search, unless it has one of its own."""
    return config.head if task_of_spec(rival.spec) == CLASSIFY else None


def _require_alone(config: SearchConfig, *, devices: int) -> None:
    """Check that no setting contradicts the parent.

    Raises:
        InputError: One does.
    """
    assert config.parent is not None
    for option, given in (("--teacher", config.teacher), ("--warm-start", config.warm_start)):
        if given:
            raise InputError(
                f"{option} does not apply with --parent, which gives the weights and is the teacher: leave "
                "it out"
            )
    if config.parent.with_netadapt and devices > 1:
        raise InputError(
            f"--with-netadapt narrows for one device, and {devices} are given: give one, or leave it "
            "out"
        )
