"""Read a command's images, with progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nas.data.config import DataConfig
from nas.data.image_files.names import printable
from nas.display.progress import waiting
from nas.engine.folder.data_changes import Resumed, read_contents
from nas.engine.folder.run_folder import RunFolder
from nas.tasks import task_of

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Usage
    from nas.data.images import Dataset
    from nas.data.load import ImageSource
    from nas.training.recipe import Recipe


def open_images(
    wanted: DataConfig,
    console: Console,
    *,
    batch_size: int,
    setting: str = "--batch-size",
    resumed: Resumed | None = None,
    of: Path | None = None,
    how: Recipe | None = None,
    crop: float = 1.0,
) -> Dataset:
    """Read the images at `wanted.proxy_resolution`, or at their own size.

    Args:
        wanted: Image settings.
        console: Shows progress.
        batch_size: Minimum number of training images.
        setting: Option or setting that changes `batch_size`, for the error message.
        resumed: The resumed run, if any.
        of: See `find_images`.
        how: The training, if there is one: whether it crops images.
        crop: See `find_images`.

    Raises:
        InputError: See `nas.data.load.load_dataset`; there are fewer training images than a batch; or the
            images differ from those the run started with.
    """
    source = find_images(wanted, console, resumed=resumed, of=of, crop=crop)
    px = wanted.proxy_resolution or source.default_px()
    return read_images(source, px, console, batch_size=batch_size, setting=setting, how=how)


def find_images(
    wanted: DataConfig,
    console: Console | None = None,
    *,
    resumed: Resumed | None = None,
    of: Path | None = None,
    crop: float = 1.0,
) -> ImageSource:
    """Find the images and split them; decodes them only if bad ones are to be skipped.

    Args:
        wanted: Image settings.
        console: Shows progress if it takes long.
        resumed: The resumed run, if any.
        of: A checkpoint or an exported file; images known to its run keep their split.
        crop: Fraction of the shorter side that evaluation sees.

    Raises:
        InputError: See `nas.data.load.open_source`; or the images differ from those the run started with.
    """
    from nas.data.load import open_source  # imports torch

    folder = resumed.folder if resumed else None if of is None else RunFolder(of.parent)
    before = None if folder is None else read_contents(folder)
    looking = f"listing the images of {printable(wanted.source)}"
    with waiting(console or Console(quiet=True), looking) as status:
        source = open_source(
            wanted.source,
            memory_limit_mb=wanted.memory_limit_mb,
            workers=2 if wanted.decoding_workers is None else wanted.decoding_workers,
            rule=wanted.rule,
            background=wanted.background,
            crop=crop,
            layout=wanted.layout,
            max_megapixels=wanted.max_megapixels,
            skip_bad_images=wanted.skip_bad_images,
            keep=before,
            task=wanted.task,
            progress=lambda done, total: status.update(f"{looking}: {done} of {total} checked"),
        )
    if resumed is None:
        return source
    source = resumed.checked(source, before)
    if source.changes and console is not None:
        console.print(f"resuming with changed images: {', '.join(source.changes)}", soft_wrap=True)
    return source


def images_of(wanted: DataConfig, usage: Usage, file: Path, px: int, console: Console) -> Dataset:
    """Read images for a trained network, preprocessed and split as in its training.

    Args:
        wanted: Image settings.
        usage: The network's preprocessing and split rule.
        file: Its checkpoint, or an exported file.
        px: Side of the images.
        console: Shows progress.

    Raises:
        InputError: The images cannot be found or read.
    """
    return read_images(source_of(wanted, usage, file, console), px, console, batch_size=1)


def source_of(wanted: DataConfig, usage: Usage, file: Path, console: Console) -> ImageSource:
    """Find images for a trained network; see `images_of`."""
    wanted = wanted.model_copy(update={"background": usage.background})
    wanted = wanted.held_out_by(usage.rule)
    source = find_images(wanted, console, of=file, crop=usage.crop)
    return replace(source, crops_train=True)


def read_images(
    source: ImageSource,
    px: int,
    console: Console,
    *,
    batch_size: int,
    setting: str = "--batch-size",
    beside_px: Sequence[int] = (),
    how: Recipe | None = None,
) -> Dataset:
    """Read images at a size, with progress.

    Args:
        source: See `find_images`.
        px: Side of the images.
        console: Shows progress.
        batch_size: Minimum number of training images.
        setting: Option or setting that changes `batch_size`, for the error message.
        beside_px: Other sizes that the images will also be read at.
        how: The training, if there is one: whether it crops images.

    Raises:
        InputError: An image cannot be read, or there are fewer training images than a batch.
    """
    from nas.data.images import require_batch  # imports torch

    reading = f"reading images of {source.name} at {px} px"
    train_px, *beside_train = (
        side if how is None else task_of(source.task).stored_px(how, side)
        for side in (px, *beside_px)
    )
    with waiting(console, reading) as status:
        images = source.at(
            px,
            train_px=train_px,
            beside=list(zip(beside_px, beside_train, strict=True)),
            progress=lambda done, total: status.update(f"{reading}: {done} of {total}"),
        )
    require_batch(images, batch_size, setting=setting)
    return images
