"""Open the inputs of a comparison, so that bad input is found before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from latency import Cached, LatencySource, open_device
from nas.checkpoints.teachers import with_names
from nas.cli.compare.at_latency import at_latency_of_first
from nas.cli.compare.networks import Named, contestant
from nas.cli.compare.options import Asked
from nas.cli.compare.settings import (
    checked_config,
    common_crop,
    used_recipes,
)
from nas.cli.images import find_images, read_images
from nas.cli.machine import require_machine
from nas.cli.options.data import found_again
from nas.cli.options.run import FolderOptions
from nas.cli.options.schedule import ScheduleOptions
from nas.cli.teachers import run_teacher
from nas.comparing.config import CompareConfig
from nas.comparing.contestant import Contestant, keep_contestants, read_contestants
from nas.engine.folder.data_changes import Resumed, write_contents
from nas.engine.folder.run_folder import (
    RunFolder,
    check_new,
    free_name,
    new_folder,
    require_writable,
)
from nas.engine.folder.run_teacher import COPY, RunTeacher
from nas.engine.measuring import require_distinct
from nas.tasks import task_of
from nas.training.recipe import Recipe
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.data.source import ImageSource


@dataclass
class Images:
    """Images at each resolution, read once.

    Attributes:
        source: The images.
        recipes: The recipes that they are read for.
        console: Shows progress.
        sides: Sides of the images of all networks, which share the memory for images.
    """

    source: ImageSource
    recipes: Sequence[Recipe]
    console: Console
    sides: Collection[int] = ()
    read: dict[int, Dataset] = field(default_factory=dict)

    def __call__(self, px: int) -> Dataset:
        """Return the images at a resolution.

        Raises:
            InputError: An image cannot be read, or there are fewer training images than a batch.
        """
        if px not in self.read:
            task = task_of(self.source.task)
            how = max(self.recipes, key=lambda recipe: task.stored_px(recipe, px))
            size = max(recipe.batch_size for recipe in self.recipes)
            beside = tuple(sorted({*self.sides} - {px}))
            self.read[px] = read_images(
                self.source, px, self.console, batch_size=size, beside_px=beside, how=how
            )
        return self.read[px]


@dataclass(frozen=True)
class Comparing:
    """A comparison with its inputs opened.

    Attributes:
        config: Its settings.
        contestants: The networks.
        images: The images at the resolution of each.
        sources: The devices.
        teacher: The network that all learn from, if any.
        folder: The folder of a resumed comparison; None for a new one.
    """

    config: CompareConfig
    contestants: tuple[Contestant, ...]
    images: dict[int, Dataset]
    sources: tuple[LatencySource, ...]
    teacher: RunTeacher | None = None
    folder: RunFolder | None = None

    def start(self, run: FolderOptions) -> RunFolder:
        """Create the run's folder, with all that resuming needs."""
        name = run.run_name or free_name(run.runs, f"compare-{datetime.now():%Y%m%d-%H%M%S}")
        folder = new_folder(run.runs, name)
        contents = next(iter(self.images.values())).contents
        if contents is not None:
            write_contents(folder, contents)
        if self.teacher is not None:
            self.teacher.keep(folder)
        keep_contestants(folder, self.contestants)
        self.config.write(folder.path)  # the last file: a folder without it cannot be resumed
        return folder


def begin(
    named: Sequence[Named], config: CompareConfig, asked: Asked, *, console: Console
) -> Comparing:
    """Open the inputs of a new comparison of some networks.

    Raises:
        InputError: An option is invalid, an input cannot be opened, or two do not fit together.
    """
    what, run = asked.what, asked.run
    if run.run_name is not None:
        check_new(run.runs, run.run_name)
    if not run.dry_run:
        require_writable(run.runs)
    sources = open_sources(config.devices)
    taught = run_teacher(config.teacher, None)
    config, source = _found(named, config, console)
    sides = {one.px or source.default_px() for one in named}
    read = Images(source, used_recipes(named, config), console, sides)
    every = [contestant(one, source, read, head=asked.images.head) for one in named]
    if what.at_latency:
        every, sources = at_latency_of_first(every, sources, read, console)
        if (now := {one.spec.resolution for one in every}) != sides:
            read = replace(read, sides=now, read={})  # as a resumed comparison reads them
    images = {one.spec.resolution: read(one.spec.resolution) for one in every}
    if taught is not None:
        taught = replace(taught, checkpoint=with_names(taught.checkpoint, source.classes))
        taught.teacher(source.classes)  # fails if it has other classes
        config = config.model_copy(update={"teacher": taught.config})
    return Comparing(config, tuple(every), images, sources, taught)


def _found(
    named: Sequence[Named], config: CompareConfig, console: Console
) -> tuple[CompareConfig, ImageSource]:
    """Find the images, split so that no network is tested on images that it has been trained on.

    Raises:
        InputError: They cannot be found, or two networks were trained on other parts of them.
    """
    crop = common_crop(named, config)
    source = find_images(config.data, console, crop=crop)
    knowing = [one for one in named if one.start is not None and _knows(one.start, source.classes)]
    if not knowing:
        return config, source
    rules = {one.start.usage.rule: one.given for one in knowing if one.start is not None}
    if len(rules) > 1:
        one, other = list(rules.values())[:2]
        raise InputError(
            f"{one} and {other} were trained on different parts of these images, so one would be tested on "
            "its own training images: leave one of them out"
        )
    wanted = config.data.held_out_by(next(iter(rules)))
    config = config.model_copy(update={"data": wanted})
    return config, find_images(wanted, console, crop=crop, of=knowing[0].file)


def _knows(start: Checkpoint, classes: tuple[str, ...]) -> bool:
    return start.usage.named and set(start.usage.classes) == set(classes)


def resume(path: Path, schedule: ScheduleOptions, *, console: Console) -> Comparing:
    """Reopen an interrupted comparison, which other workers may continue.

    Raises:
        InputError: The folder is not of a comparison, or its inputs have changed.
    """
    if not path.exists():
        raise InputError(f"--resume: there is no folder {path}")
    folder, config = RunFolder(path), CompareConfig.read(path)
    contestants = read_contestants(folder)
    changed = config.schedule.model_dump() | schedule.settings()
    config = checked_config(
        **{**dict(config), "schedule": changed, "data": found_again(config.data, path)}
    )
    require_machine(config.schedule, config.finetune, config.from_scratch)
    resumed = Resumed(folder)
    crop = common_crop(contestants, config)
    source = find_images(config.data, console, resumed=resumed, crop=crop)
    sides = {one.spec.resolution for one in contestants}
    read = Images(source, used_recipes(contestants, config), console, sides)
    images = {one.spec.resolution: read(one.spec.resolution) for one in contestants}
    teacher = None
    if config.teacher is not None:
        from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

        teacher = RunTeacher(config.teacher, load_checkpoint(folder / COPY), is_kept=True)
    sources = open_sources(config.devices)
    return Comparing(config, contestants, images, sources, teacher, folder)


def open_sources(devices: Sequence[str]) -> tuple[LatencySource, ...]:
    """Open devices by the names that `--device` takes.

    Raises:
        InputError: There is no such device, or two are the same.
    """
    sources = tuple(open_device(device) for device in devices)
    require_distinct(sources)
    return tuple(source if source.device.estimate else Cached(source) for source in sources)
