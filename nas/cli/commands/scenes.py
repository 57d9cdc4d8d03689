"""`nas scenes`: draw images with boxes and masks, to try detection and segmentation on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.display.output import messages
from nas.display.progress import waiting
from nas.formatting import counted
from search_spaces import InputError
from search_spaces.shell import quoted

TRAIN, TEST = 400, 200


def scenes(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    train: Annotated[int, typer.Option(min=1, help="Training images.")] = TRAIN,
    test: Annotated[int, typer.Option(min=1, help="Test images.")] = TEST,
    px: Annotated[int, typer.Option(min=32, max=2048, help="Side in pixels.")] = 160,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
) -> None:
    """Draw images with boxes and masks: garments laid on the embedded photos of fruit.

    The folder has Pascal VOC's layout, with both kinds of annotation: --task detect (default) or --task
    segment chooses one in nas train and nas-search.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty: give a new folder")
    from nas.data.drawn import CLASSES, write_scenes

    console = messages()
    counts = {"train": train, "test": test}
    with waiting(console, f"drawing {counted(train + test, 'image')}") as status:
        try:
            for split, done in write_scenes(folder, counts, px=px, seed=seed):
                status.update(f"drawing {split} images: {done} of {counts[split]}")
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}: give another folder") from error
    console.print(
        f"wrote {train} training and {test} test images of {len(CLASSES)} classes to {folder}: search with "
        f"nas-search --data {quoted(folder)} --task detect",
        soft_wrap=True,
    )
