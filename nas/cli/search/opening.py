"""Open, start and resume a run of a search."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from latency import Cached, LatencySource, open_device
from nas.adapting.results.record import is_adapt_run
from nas.atomic_files import write_whole
from nas.cli.images import find_images
from nas.cli.machine import require_machine
from nas.cli.options.data import absolute, found_again
from nas.cli.provenance import say_run
from nas.cli.search.head import space_for, with_head_for
from nas.cli.search.job import Job, open_controller
from nas.cli.search.own_space import OWN_SPACE, own_space_copy, with_own_space
from nas.cli.search.parent import (
    open_from_parent,
    open_parent,
    parent_file,
    rival_file,
)
from nas.cli.search.policy import open_policy, policy_copy, require_policy_fits
from nas.cli.search.reading import reader, with_fidelity
from nas.cli.teachers import run_teacher
from nas.cli.trained import network_name
from nas.engine.folder.data_changes import Resumed
from nas.engine.folder.run_folder import RunFolder, new_folder, open_folder
from nas.engine.measuring import require_distinct
from nas.engine.trial import read_finished
from nas.formatting import counted
from nas.searching.beginning import SUB_NETWORKS
from nas.searching.config import (
    ParentConfig,
    SearchConfig,
    config_yaml,
    load_config,
    parse_config,
)
from nas.searching.from_scratch.overlap import Overlap
from nas.searching.from_scratch.warm_start import WarmStart
from nas.searching.run_policy import FIRST
from nas.searching.sizes import settle_sizes
from search_spaces import SPACES, FactorizedSpace, InputError, load_space
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

ANY_ARITIES = (2,) * 20
"""Of a space large enough to check a controller's options with."""

WARM_START = "warm-start-"
"""What the names of a run's copies of the networks begin with that trials are initialized from."""


def open_job(config: SearchConfig, console: Console, *, resumed: Resumed | None = None) -> Job:
    """Open a search's inputs, so that bad input is found before anything is written.

    A time budget starts to count here.

    Args:
        config: The search's settings.
        console: Shows progress.
        resumed: The resumed run, if any.

    Raises:
        InputError: An input cannot be opened, or two do not fit together.
    """
    began_s = time.monotonic()
    sources = tuple(_opened(device) for device in config.targets)
    require_distinct(sources)
    controller = open_controller(config, ANY_ARITIES)  # fails before images are read
    policy = open_policy(config, controller)
    parent = lender = None
    if config.parent is None:
        known = load_space(config.space)  # fails before images are read
        require_policy_fits(policy, config, known)
        if config.weights_from is not None:
            lender = open_parent(ParentConfig(path=config.weights_from))
            Overlap.of(known, lender)  # fails if they have nothing in common
    else:
        parent = open_parent(config.parent)
        config = with_own_space(config, parent)
    teacher = run_teacher(config.teacher, resumed)
    crop = 1.0 if parent is None else parent.usage.crop
    images = find_images(
        config.data, console, resumed=resumed, crop=config.recipe.evaluation_crop(crop)
    )
    if parent is not None:
        job = open_from_parent(
            config,
            parent,
            images,
            console,
            sources=sources,
            policy=policy,
            began_s=began_s,
            resumed=resumed,
        )
        own = {} if config.space == SUB_NETWORKS else own_space_copy(config.space)
        return replace(job, copies=job.copies | own | policy_copy(policy))
    sizes = settle_sizes(
        images.default_px(),
        resolution=config.resolution,
        proxy_resolution=config.data.proxy_resolution,
    )
    config = config.with_sizes(sizes)
    bare = load_space(config.space, resolution=sizes.deployed_px, classes=len(images.classes))
    assert isinstance(bare, FactorizedSpace)  # `with_beginning` gives the others a parent
    space = space_for(images, bare, head=config.head)
    open_controller(config, space.arities)
    if teacher is not None:
        teacher.teacher(images.classes)  # fails if it has other classes
        config = config.model_copy(update={"teacher": teacher.config})
    warm_start = _warm_start(config, space)
    copies = _copies(config, lender) | policy_copy(policy)
    if lender is not None:
        lender = with_head_for(images, lender, named=str(config.weights_from), head=config.head)
    read = reader(config, images, console)
    if sizes.differ:
        data = read(sizes.proxy_px, beside_px=(sizes.deployed_px,))
        final_data = read(sizes.deployed_px, beside_px=(sizes.proxy_px,))
    else:
        data = final_data = read(sizes.deployed_px)
    return Job(
        with_fidelity(config, data),
        space,
        sources,
        images,
        data,
        final_data,
        console,
        warm_start=warm_start,
        weights_from=lender,
        teacher=teacher,
        policy=policy,
        copies=copies,
        began_s=began_s,
    )


def _copies(config: SearchConfig, lender: Checkpoint | None) -> dict[str, bytes]:
    """Return the files named in the settings, read before they can change."""
    from nas.checkpoints.checkpoint import checkpoint_bytes  # imports torch

    seeds = enumerate(config.warm_start, start=1)
    copies = {f"{WARM_START}{number}.pt": Path(path).read_bytes() for number, path in seeds}
    if lender is not None:
        copies[parent_file(Path()).name] = checkpoint_bytes(lender, run=lender.run)
    return copies if config.space in SPACES else copies | own_space_copy(config.space)


def _warm_start(config: SearchConfig, space: FactorizedSpace) -> tuple[Checkpoint, ...]:
    """Load the networks of `config.warm_start`.

    Raises:
        InputError: One cannot be read, has other classes, or is not in the space.
    """
    if not config.warm_start:
        return ()
    from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

    seeds = []
    for path in config.warm_start:
        seeds.append(load_checkpoint(Path(path)))
        say_run(path, seeds[-1].run)
        try:
            WarmStart.of(space, seeds[-1:], classes=space.head.classes)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return tuple(seeds)


def _opened(device: str) -> LatencySource:
    """Open a device; its readings are cached if it measures."""
    source = open_device(device)
    return source if source.device.estimate else Cached(source)


def start(job: Job, runs: Path, name: str) -> RunFolder:
    """Create the run's folder, and save the settings and the files that they name there."""
    folder = new_folder(runs, name)
    start = parent_file(folder.path)
    seeds = (copy for copy in job.copies if copy.startswith(WARM_START))
    changes: dict[str, Any] = {
        "warm_start": _within(folder, seeds),
        "data": absolute(job.config.data),
    }
    if job.policy is not None:
        own_policy = {"policy": str(folder / FIRST)}
        changes["controller"] = job.config.controller.model_copy(update=own_policy)
    if OWN_SPACE in job.copies:
        changes["space"] = str(folder / OWN_SPACE)
    if job.config.weights_from is not None:
        changes["weights_from"] = str(start)
    if job.config.parent is not None:
        rivals = tuple(str(folder / rival_file(name)) for name in job.rivals)
        changes["parent"] = job.config.parent.model_copy(
            update={"path": str(start), "rivals": rivals}
        )
    try:
        for copy, content in job.copies.items():
            (folder / copy).parent.mkdir(exist_ok=True)
            write_whole(folder / copy, content)
        write_whole(folder / "config.yaml", config_yaml(job.config.model_copy(update=changes)))
    except BaseException:
        folder.discard()  # the name is free again
        raise
    return folder


def _within(folder: RunFolder, names: Iterable[str | Path]) -> tuple[str, ...]:
    """Return the paths of these files in a run's folder, which may have been moved."""
    return tuple(str(folder / Path(name).name) for name in names)


def reopen(
    path: Path,
    schedule: dict[str, Any],
    console: Console,
    *,
    hold: bool = True,
    data: dict[str, Any] | None = None,
    accept_data_changes: bool = False,
) -> tuple[Job, RunFolder, dict[str, Any]]:
    """Reopen an interrupted run with its settings, except for the given changes.

    Args:
        path: The run's folder.
        schedule: New values for `config.schedule`.
        console: Shows progress.
        hold: Whether to lock the folder; not needed for --dry-run, while another process may work in it.
        data: New values for `config.data`.
        accept_data_changes: Whether to resume although the images have changed.

    Returns:
        The job, the folder, and the progress as plain data.

    Raises:
        InputError: The folder is not a search's, another process holds it, an input cannot be opened, or
            the images have changed.
    """
    folder = open_folder(path)
    if is_adapt_run(folder):
        raise InputError(
            f"{path} is a NetAdapt run: resume it with netadapt --resume {quoted(path)}"
        )
    if hold:
        folder.hold()  # fails before images are read
    # Read without repairing: with --dry-run another process may be writing these.
    done = len({trial.index for trial in read_finished(folder / "trials.jsonl")})
    finals = len(read_finished(folder / "finals.jsonl"))
    config = load_config(folder / "config.yaml")
    kept = config.model_dump(mode="json")
    kept["schedule"] |= schedule
    kept["data"] = found_again(config.data, folder.path).model_dump(mode="json") | (data or {})
    if schedule.get("workers") == 0 and "ray_address" not in schedule:
        kept["schedule"]["ray_address"] = None  # from now on in this process
    kept["warm_start"] = _within(folder, config.warm_start)
    if (folder / FIRST).is_file():
        kept["controller"]["policy"] = str(folder / FIRST)
    if (start := parent_file(folder.path)).is_file():  # the folder may have been moved
        if config.parent is None:
            kept["weights_from"] = str(start)
        else:
            kept["parent"]["path"] = str(start)
            names = map(network_name, kept["parent"]["rivals"])
            kept["parent"]["rivals"] = [str(folder / rival_file(name)) for name in names]
    if (folder / OWN_SPACE).is_file():
        kept["space"] = str(folder / OWN_SPACE)
    console.print(
        f"{folder.path}: {_of_all(done, config)} done"
        + (f", and {counted(finals, 'final training')}" if finals else ""),
        soft_wrap=True,
    )
    changed = parse_config(kept, where=str(folder / "config.yaml"))
    require_machine(changed.schedule, changed.recipe)
    far = {
        "run": str(folder.path),
        "trials_done": done,
        "finals_done": finals,
        "ended": (folder / "result.json").is_file(),
    }
    resumed = Resumed(folder, accept_data_changes)
    job = open_job(changed, console, resumed=resumed)
    if data and hold:  # the next resume reads the same images
        kept_data = config.data.model_copy(update=data)
        kept_config = config.model_copy(update={"data": kept_data})
        write_whole(folder / "config.yaml", config_yaml(kept_config))
    return job, folder, far


def _of_all(done: int, config: SearchConfig) -> str:
    if config.budget_s is None:
        return f"{done} of {counted(config.trials, 'trial')}"
    return counted(done, "trial")
