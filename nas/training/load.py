"""From the name of a data set to its three splits."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from latency.home import expanded
from nas.training import embedded, torchvision_sets
from nas.training.decode import (
    Pictures,
    ProgressCallback,
    SomePictures,
    decode_all,
    default_resolution,
)
from nas.training.folder import read_folder
from nas.training.images import ArraySplit, Dataset, Split, channel_statistics
from nas.training.splitting import stratified_split
from nas.training.streaming import StreamingSplit
from search_spaces.errors import InputError

SAMPLED_FOR_STATISTICS = 2000
MIN_RESOLUTION_PX = 8


class Found(NamedTuple):
    """A data set before decoding; `val` and `test` may be None."""

    name: str
    classes: tuple[str, ...]
    pictures: Mapping[str, Pictures | None]


def load_dataset(
    source: str,
    *,
    resolution_px: int | None = None,
    memory_limit_mb: int = 4096,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
    root: Path | None = None,
    workers: int = 2,
    progress: ProgressCallback | None = None,
) -> Dataset:
    """Load a data set, in memory where it fits.

    Args:
        source: "fashion-mnist-subset" (carried by the package), a folder of class folders with or
            without train, val and test folders above them, or a torchvision data set such as
            "CIFAR10". A folder that exists wins over a torchvision name.
        resolution_px: height and width; None takes the median shorter side, at most 224 and a
            multiple of 32 (smaller images keep their size: Fashion-MNIST stays at 28).
        memory_limit_mb: above this the images are decoded while they are read.
        val_fraction: part of train held out as val where the source has none, class by class.
        test_fraction: the same for test.
        seed: decides which images are held out.
        root: where torchvision's data sets lie; default $MOBILE_NAS_DOWNLOADS, else
            ~/.cache/mobile-nas.
        workers: processes that decode when the images do not fit.
        progress: called with (images done, total) once decoding has taken two seconds.

    Raises:
        InputError: no such data set, a bad argument, or bad images; one line with what to do.
    """
    found = _find(source, root)
    pictures = _hold_out(found, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)
    size_px = default_resolution(pictures["train"]) if resolution_px is None else resolution_px
    if size_px < MIN_RESOLUTION_PX:
        raise InputError(
            f"resolution must be at least {MIN_RESOLUTION_PX}, got {size_px}: try 32 or 96"
        )
    if _size_mb(pictures, size_px) <= memory_limit_mb:
        return _in_memory(found, pictures, size_px=size_px, progress=progress)
    return _streaming(found, pictures, size_px=size_px, workers=workers, progress=progress)


def _find(source: str, root: Path | None) -> Found:
    if source == embedded.NAME:
        classes, parts = embedded.read_embedded()
        return Found(source, classes, parts)
    path = expanded(source)
    looks_like_path = os.sep in source or source.startswith((".", "~"))
    if path.exists() or looks_like_path or not source:
        folder = read_folder(path)
        splits = {"train": folder.train, "val": folder.val, "test": folder.test}
        return Found(path.resolve().name, folder.classes, splits)
    name = torchvision_sets.canonical_name(source)
    if name is None:
        raise InputError(f"no data set or folder is called {source!r}: {_suggestion(source)}")
    known, opened = torchvision_sets.read_torchvision(
        name, expanded(str(torchvision_sets.download_root(root)))
    )
    return Found(name, known, opened)


def _suggestion(source: str) -> str:
    names = {name.lower(): name for name in (embedded.NAME, *torchvision_sets.SETS)}
    near = difflib.get_close_matches(source.lower(), names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(names[match] for match in near)}?"
    return f"give a folder of class folders, {embedded.NAME}, or a torchvision name such as CIFAR10"


def _hold_out(
    found: Found, *, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, Pictures]:
    """Split off train what the source lacks; both fractions are of the train that was found."""
    fractions = {"test": test_fraction, "val": val_fraction}
    for split, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise InputError(
                f"{split}_fraction must be between 0 and 1, got {fraction}: give for instance 0.2"
            )
    missing = [split for split in fractions if found.pictures[split] is None]
    if sum(fractions[split] for split in missing) >= 1:
        raise InputError(
            f"val_fraction {val_fraction} and test_fraction {test_fraction} leave nothing to "
            "train on: their sum must be below 1"
        )
    pictures = {split: part for split, part in found.pictures.items() if part is not None}
    left = 1.0
    for split in missing:
        train = pictures["train"]
        stay, out = stratified_split(train.labels, fractions[split] / left, seed=seed)
        pictures |= {"train": SomePictures(train, stay), split: SomePictures(train, out)}
        left -= fractions[split]
    for split, part in pictures.items():
        if not len(part.labels):
            raise InputError(
                f"{found.name} leaves no image for {split}: give every class three or more images"
            )
    return pictures


def _size_mb(pictures: Mapping[str, Pictures], size_px: int) -> float:
    return sum(len(part.labels) for part in pictures.values()) * 3 * size_px**2 / 2**20


def _in_memory(
    found: Found,
    pictures: Mapping[str, Pictures],
    *,
    size_px: int,
    progress: ProgressCallback | None,
) -> Dataset:
    total = sum(len(part.labels) for part in pictures.values())
    done = 0
    splits: dict[str, ArraySplit] = {}
    for name, part in pictures.items():
        shifted = _shifted(progress, done=done, total=total)
        splits[name] = ArraySplit(decode_all(part, size_px=size_px, progress=shifted), part.labels)
        done += len(part.labels)
    return _dataset(found, splits, size_px=size_px, sample=splits["train"].images)


def _shifted(
    progress: ProgressCallback | None, *, done: int, total: int
) -> ProgressCallback | None:
    """Count one split's progress as a part of all splits."""
    return None if progress is None else lambda more, _: progress(done + more, total)


def _streaming(
    found: Found,
    pictures: Mapping[str, Pictures],
    *,
    size_px: int,
    workers: int,
    progress: ProgressCallback | None,
) -> Dataset:
    train = pictures["train"]
    step = max(1, len(train.labels) // SAMPLED_FOR_STATISTICS)
    sample = SomePictures(train, np.arange(0, len(train.labels), step))
    images = decode_all(sample, size_px=size_px, progress=progress)
    splits = {name: StreamingSplit(part, size_px, workers) for name, part in pictures.items()}
    return _dataset(found, splits, size_px=size_px, sample=images)


def _dataset(
    found: Found, splits: Mapping[str, Split], *, size_px: int, sample: NDArray[np.uint8]
) -> Dataset:
    mean, std = channel_statistics(sample)
    return Dataset(
        name=found.name,
        classes=found.classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        resolution_px=size_px,
        mean=mean,
        std=std,
    )
