"""Reading a command's images, with progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from nas.cli.waiting import waiting
from nas.config import DataConfig

if TYPE_CHECKING:
    from nas.training.images import Dataset
    from nas.training.load import ImageSource


def open_images(
    wanted: DataConfig, console: Console, *, batch_size: int, setting: str = "--batch-size"
) -> Dataset:
    """Read the images at `wanted.proxy_resolution`, or at their own size.

    Args:
        wanted: Which images.
        console: Where progress is shown.
        batch_size: There must be as many training images.
        setting: What the user sets that by.

    Raises:
        InputError: See `nas.training.load.load_dataset`; or train holds less than a batch.
    """
    source = find_images(wanted)
    px = wanted.proxy_resolution or source.default_px()
    return read_images(source, px, console, batch_size=batch_size, setting=setting)


def find_images(wanted: DataConfig) -> ImageSource:
    """Find the images and settle their splits, without decoding any.

    Raises:
        InputError: See `nas.training.load.open_source`.
    """
    from nas.training.load import open_source

    return open_source(
        wanted.source,
        memory_limit_mb=wanted.memory_limit_mb,
        val_fraction=wanted.val_fraction,
        test_fraction=wanted.test_fraction,
        seed=wanted.split_seed,
        background=wanted.background,
    )


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
