"""Reading a command's images, with progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from nas.cli.waiting import waiting
from nas.config import DataConfig

if TYPE_CHECKING:
    from nas.data_changes import Resumed
    from nas.training.images import Dataset
    from nas.training.load import ImageSource


def open_images(
    wanted: DataConfig,
    console: Console,
    *,
    batch_size: int,
    setting: str = "--batch-size",
    resumed: Resumed | None = None,
) -> Dataset:
    """Read the images at `wanted.proxy_resolution`, or at their own size.

    Args:
        wanted: Which images.
        console: Where progress is shown.
        batch_size: There must be as many training images.
        setting: What the user sets that by.
        resumed: The run that goes on with them, if one does.

    Raises:
        InputError: See `nas.training.load.load_dataset`; train holds less than a batch; or the images are
            not those that the run began with.
    """
    source = find_images(wanted, console, resumed=resumed)
    px = wanted.proxy_resolution or source.default_px()
    return read_images(source, px, console, batch_size=batch_size, setting=setting)


def find_images(
    wanted: DataConfig, console: Console | None = None, *, resumed: Resumed | None = None
) -> ImageSource:
    """Find the images and settle their splits, without decoding any unless bad ones are left out.

    Args:
        wanted: Which images.
        console: Where progress is shown, if it takes long.
        resumed: The run that goes on with them, if one does.

    Raises:
        InputError: See `nas.training.load.open_source`; or the images are not those that the run began
            with.
    """
    from nas.data_changes import read_contents
    from nas.training.folders.names import printable
    from nas.training.load import open_source

    before = read_contents(resumed.folder) if resumed else None
    looking = f"looking through the images of {printable(wanted.source)}"
    with waiting(console or Console(quiet=True), looking) as status:
        source = open_source(
            wanted.source,
            memory_limit_mb=wanted.memory_limit_mb,
            val_fraction=wanted.val_fraction,
            test_fraction=wanted.test_fraction,
            seed=wanted.split_seed,
            split_by=wanted.split_by,
            background=wanted.background,
            layout=wanted.layout,
            max_megapixels=wanted.max_megapixels,
            skip_bad_images=wanted.skip_bad_images,
            keep=before,
            progress=lambda done, total: status.update(f"{looking}, {done} of {total} checked"),
        )
    if resumed is None:
        return source
    source = resumed.checked(source, before)
    if source.changes and console is not None:
        console.print(f"going on with other images: {', '.join(source.changes)}", soft_wrap=True)
    return source


def read_images(
    source: ImageSource,
    px: int,
    console: Console,
    *,
    batch_size: int,
    setting: str = "--batch-size",
) -> Dataset:
    """Read images at a size, with progress.

    Args:
        source: See `find_images`.
        px: Their side.
        console: Where progress is shown.
        batch_size: There must be as many training images.
        setting: What the user sets that by.

    Raises:
        InputError: An image cannot be read, or train holds less than a batch.
    """
    from nas.training.images import require_batch

    reading = f"reading images of {source.name} at {px} px"
    with waiting(console, reading) as status:
        images = source.at(
            px, progress=lambda done, total: status.update(f"{reading}, {done} of {total}")
        )
    require_batch(images, batch_size, setting=setting)
    return images
