"""Read the images that a network was trained on, to narrow it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from nas.adapting.config import AdaptConfig
from nas.cli.images import find_images, read_images
from nas.data.finding import task_of_source, tasks_of_source
from nas.display.output import noted
from nas.display.progress import say
from nas.engine.folder.data_changes import Resumed
from nas.formatting import counted
from nas.tasks import task_of_spec
from search_spaces import InputError
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.data.source import ImageSource


class SeedImages(NamedTuple):
    """The images, and what they are at the seed's input size."""

    pictures: ImageSource
    data: Dataset


def images_of_seed(
    config: AdaptConfig, seed: Checkpoint, path: Path, console: Console, resumed: Resumed | None
) -> SeedImages:
    """Read the images at the seed's input size, and check that they have its classes.

    Raises:
        InputError: They cannot be read, have other classes or another kind of annotation, or are fewer than
            a batch.
    """
    from nas.checkpoints.retrain import for_classes  # imports torch

    task = task_of_spec(seed.spec)
    _require_task(task, path, config.data.source)
    px, trained_px = seed.spec.resolution, seed.usage.trained_px
    if trained_px != px:
        console.print(
            noted(
                "Note:",
                f" {path} was trained at {trained_px} px, but proposals train at {px} px, its deployed "
                f"size: fine-tune it first with nas train --resolution {px}, or with --resolution "
                f"{trained_px} to deploy it at {trained_px} px",
            ),
            soft_wrap=True,
        )
    wanted = config.data.model_copy(
        update={"proxy_resolution": px, "background": seed.usage.background, "task": task}
    )
    wanted = wanted.held_out_by(seed.usage.rule)
    say(console, f"reading images of {wanted.source}")
    crop = config.evaluation_crop(seed.usage.crop)
    pictures = find_images(wanted, console, resumed=resumed, of=path, crop=crop)
    images = read_images(pictures, px, console, batch_size=1, how=config.recipe_of_images)
    try:
        for_classes(seed, images, notify=lambda note: console.print(note, soft_wrap=True))
    except InputError as error:
        once = ""
        if "--classes" in str(error):  # not an option of this command
            once = "; use nas train --classes, which stores the names in its checkpoint"
        raise InputError(
            f"{wanted.source} does not fit {path}: {error}{once}, or give --data with its training images"
        ) from error
    batch = max(config.recipe.batch_size, config.final_recipe.batch_size)
    if batch > len(images.train):
        raise InputError(
            f"--batch-size is {batch}, but {wanted.source} has "
            f"{counted(len(images.train), 'training image')}: give a smaller one, or add images"
        )
    return SeedImages(pictures, images)


def _require_task(task: str, path: Path, source: str) -> None:
    """Check that the images are annotated for what the seed does, before they are read.

    Raises:
        InputError: They are not.
    """
    try:
        task_of_source(source, task)
    except InputError as error:
        raise InputError(
            f"{path} is for the task {task}, {source} is annotated for {tasks_of_source(source)[0]}: train "
            f"it on these images first, with nas train {quoted(path)} --data {quoted(source)}"
        ) from error
