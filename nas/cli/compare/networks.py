"""Open the networks of a comparison, with what their trainings begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.ablating.network_lists import NetworkAblation
from nas.cli.search.head import with_head_for
from nas.cli.specs import is_reference, of_run, open_spec, stem
from nas.cli.trained import network_name, open_trained
from nas.comparing.contestant import Contestant
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import RIVAL
from nas.searching.from_parent.rivals import read_standing
from nas.searching.results.stored_result import read_result
from nas.tasks import CLASSIFY, task_of_spec
from nas.tasks.heads import headed
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, InputError
from search_spaces.spec import load

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.data.source import ImageSource

PARENT, ORDER, BEST = "parent.pt", "parent-order.pt", "best.yaml"
"""Files of a search from a parent."""


@dataclass(frozen=True)
class Named:
    """A network as it was named, before the images are known.

    Attributes:
        name: What it is called.
        given: How it was named on the command line.
        spec: The network.
        px: Side of its images; None takes the images' own.
        start: Its trained weights; None trains from scratch.
        inherited: See `Contestant.inherited`.
        file: The file of its weights, next to which its run says which images it knows; None without one.
        first: Recipe by which a network without the data's classes is fine-tuned first, if any.
    """

    name: str
    given: str
    spec: ArchSpec
    px: int | None = None
    start: Checkpoint | None = None
    inherited: bool = False
    file: Path | None = None
    first: Recipe | None = None


def open_named(names: Sequence[str], *, px: int | None) -> list[Named]:
    """Open networks; equal names are numbered.

    Args:
        names: As they were typed.
        px: Side of the images of all of them; None keeps each network's own.

    Raises:
        InputError: There are fewer than two, or one cannot be opened.
    """
    if len(names) < 2:
        got = f", got {names[0]}" if names else ""
        raise InputError(f"give two networks or more to compare{got}")
    every = [_open(given) for given in names]
    return numbered(every if px is None else [replace(one, px=px) for one in every])


def numbered(every: Sequence[Named]) -> list[Named]:
    """Number networks of equal names."""
    found: list[Named] = []
    for one in every:
        number = 1 + sum(
            one.name in (other.name, other.name.rpartition(" #")[0]) for other in found
        )
        found.append(one if number == 1 else replace(one, name=f"{one.name} #{number}"))
    return found


def _open(given: str) -> Named:
    path = Path(given)
    if not path.exists() and is_reference(given):
        return Named(given, given, open_spec(given))
    if path.suffix in (".yaml", ".yml"):
        spec = open_spec(given)
        return Named(stem(given), given, spec, spec.resolution)
    if path.is_dir():
        return _of_run(path, given)
    start = open_trained(given, mend="give its name or its .yaml spec to train it from scratch")
    file = path if path.is_file() else None
    return Named(network_name(given), given, start.spec, start.spec.resolution, start, file=file)


def _of_run(run: Path, given: str) -> Named:
    """Open the result of a run."""
    name = run.resolve().name
    if (start := inherited(run)) is not None:
        px, file = start.spec.resolution, run / PARENT
        return Named(name, given, start.spec, px, start, inherited=True, file=file)
    if (spec := from_scratch(run)) is not None:
        return Named(name, given, spec, spec.resolution)
    start = open_trained(given, mend="give its .yaml spec to train it from scratch")
    return Named(name, given, start.spec, start.spec.resolution, start, file=of_run(given, ".pt"))


def of_ablation(ablation: NetworkAblation, folder: Path, *, px: int | None) -> list[Named]:
    """Open the networks of an ablation.

    Args:
        ablation: The ablation.
        folder: That of its file.
        px: Side of the images of networks that have none of their own; None takes the images' own.

    Raises:
        InputError: One of the networks cannot be made.
    """
    return [
        Named(one.title, one.network, one.spec(folder), one.px(folder, px))
        for one in ablation.networks
    ]


def inherited(run: Path) -> Checkpoint | None:
    """Return what a search from a parent found, with the weights that it inherits.

    The run's own `seed.pt` is trained further, which the other networks are not. None if the folder is not
    of a finished search from a parent.

    Raises:
        InputError: A file of the run is damaged, or its result has weights of its own.
    """
    if not all((run / name).is_file() for name in (PARENT, ORDER, BEST)):
        return None
    from nas.checkpoints.checkpoint import load_checkpoint  # imports torch
    from nas.checkpoints.torch_files import read_torch
    from netadapt.sub_networks import sub_network

    folder = RunFolder(run)
    result = read_result(folder)
    if result is not None and result.kind == RIVAL:
        rival = read_standing(folder).rivals[result.trial]
        if rival.weights is not None:
            raise InputError(
                f"{run} recommends {rival.name}, which inherits nothing from the run's parent: give its "
                "own file instead, as nas-search got it"
            )
    parent, spec = load_checkpoint(run / PARENT), load(run / BEST)
    order = dict(read_torch(run / ORDER, wanted="an intact copy of the run"))
    weights = sub_network(parent.spec, parent.weights, spec, order=order)
    return replace(parent, spec=spec, weights=weights)


def from_scratch(run: Path) -> ArchSpec | None:
    """Return what a search from scratch found, to be trained from scratch as the search did; else None."""
    found = (run / "trials.jsonl").is_file() and not (run / PARENT).is_file()
    path = run / BEST
    return load(path) if found and path.is_file() else None


def contestant(
    one: Named,
    source: ImageSource,
    read: Callable[[int], Dataset],
    *,
    head: str | None,
) -> Contestant:
    """Return a network with a head for the classes of some images.

    Args:
        one: The network.
        source: The images.
        read: Reads them at a resolution.
        head: Name of the head of a network without one for the task.

    Raises:
        InputError: It is for another task, or cannot have the head.
    """
    px = one.px or source.default_px()
    if one.start is None:
        spec = headed(one.spec, source.task, classes=len(source.classes), head=head)
        return Contestant(one.name, replace(spec, resolution=px))
    from nas.checkpoints.known_classes import fits_classes  # imports torch

    own = head if task_of_spec(one.start.spec) == CLASSIFY else None
    start = with_head_for(source, one.start, named=one.given, head=own)
    start = replace(start, spec=replace(start.spec, resolution=px))
    known = fits_classes(start, read(px))
    if not known:
        start = start.with_classes(source.classes)
    return Contestant(
        one.name,
        start.spec,
        start,
        new_classes=not known,
        inherited=one.inherited,
        first=None if known else one.first,
    )
