"""Reading a command's images, with progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from nas.cli.waiting import waiting
from nas.config import DataConfig

if TYPE_CHECKING:
    from nas.training.images import Dataset


def open_images(
    wanted: DataConfig, console: Console, *, batch_size: int, setting: str = "--batch-size"
) -> Dataset:
    """The images, of which there are enough for a batch; `setting` is what its size is given by.

    Raises:
        InputError: See `nas.training.load.load_dataset`; or train holds less than a batch.
    """
    from nas.training.images import require_batch
    from nas.training.load import load_dataset

    reading = f"reading images of {wanted.source}"
    with waiting(console, reading) as status:
        images = load_dataset(
            wanted.source,
            resolution_px=wanted.proxy_resolution,
            memory_limit_mb=wanted.memory_limit_mb,
            val_fraction=wanted.val_fraction,
            test_fraction=wanted.test_fraction,
            seed=wanted.split_seed,
            background=wanted.background,
            progress=lambda done, total: status.update(f"{reading}, {done} of {total}"),
        )
    require_batch(images, batch_size, setting=setting)
    return images
