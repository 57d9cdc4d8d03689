"""A data set whose images can be loaded at any resolution."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.data.checking import FORGETFUL, Memory, require_readable
from nas.data.folders.contents import Contents
from nas.data.image_files.decode import (
    Pictures,
    ProgressCallback,
    SomePictures,
    decode_all,
    decode_into,
    default_resolution,
    part_of,
)
from nas.data.image_files.preparation import PLAIN, Preparation
from nas.data.image_files.unreadable import Unreadable, UnreadableError
from nas.data.images import ArraySplit, Dataset, Split, channel_statistics
from nas.data.oddities import oddities
from nas.data.splits.rule import BY_DEFAULT, SplitRule
from nas.data.streaming import StreamingSplit
from search_spaces.errors import InputError

SAMPLED_FOR_STATISTICS = 2000
MIN_RESOLUTION_PX = 8

REPAINTED = "training images of the same names and sizes have other pixels"

Triple = tuple[float, float, float]
Statistics = tuple[Triple, Triple]  # mean and deviation of each channel, of pixels in 0..1


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageSource:
    """A data set with fixed splits, whose images can be loaded at any resolution.

    Attributes:
        name: Name in reports.
        classes: Class names; a label is an index into them.
        pictures: Images of `train`, `val` and `test`, not decoded yet.
        memory_limit_mb: Larger splits are decoded while they are read.
        workers: Processes that decode then.
        preparation: How images are decoded.
        contents: The files of each split, if there are any.
        left_out: Images that cannot be read, if these are left out.
        memory: Images that are known to be intact.
        normalized: Mean and deviation to use instead of these images': a resumed run keeps its own.
        changes: See `Dataset.changes`.
        accepts_changes: Whether changed pixels in the same files are accepted as well.
        rule: How images were held out.
        crops_train: Whether training images are center-cropped like val and test, for a network in use; a
            training crops them itself.
        task: Name of what can be learned of them.
        judged_px: Side of the masks of val and test, if targets are masks: networks of all input sizes are
            judged by the same pixels.
        said: Warnings already logged, so that another resolution does not repeat them.
    """

    name: str
    classes: tuple[str, ...]
    pictures: Mapping[str, Pictures]
    memory_limit_mb: int = 4096
    workers: int = 2
    preparation: Preparation = PLAIN
    contents: Contents | None = None
    left_out: tuple[Unreadable, ...] = ()
    memory: Memory = FORGETFUL
    normalized: Statistics | None = None
    changes: tuple[str, ...] = ()
    accepts_changes: bool = False
    rule: SplitRule = BY_DEFAULT
    crops_train: bool = False
    task: str = "classify"
    judged_px: int | None = None
    said: set[str] = field(default_factory=set, compare=False, repr=False)

    def default_px(self) -> int:
        """Return the images' own size; see `nas.data.image_files.decode.default_resolution`."""
        return default_resolution(self.pictures["train"])

    def at(
        self,
        size_px: int,
        *,
        train_px: int | None = None,
        beside: Sequence[tuple[int, int]] = (),
        progress: ProgressCallback | None = None,
    ) -> Dataset:
        """Decode the images at a resolution, in memory if they fit; otherwise only check them.

        Args:
            size_px: Height and width.
            train_px: Height and width of the training images, if a training crops them; at least
                `size_px`.
            beside: Other resolutions at which the same images are in memory too, each with that of its
                training images.
            progress: Called with (images done, total) once the work has taken two seconds.

        Raises:
            InputError: The resolution is below 8 px, or images cannot be read; all of these are listed.
        """
        if size_px < MIN_RESOLUTION_PX:
            raise InputError(
                f"resolution must be at least {MIN_RESOLUTION_PX}, got {size_px}: try 32 or 96"
            )
        judged_px = self.judged_px or size_px
        decoding = {name: Decoding(size_px, judged_px, self.preparation) for name in self.pictures}
        train = self.preparation if self.crops_train else self.preparation.whole()
        stored_px = train_px or size_px
        decoding["train"] = Decoding(stored_px, stored_px, train)
        sizes = [(size_px, train_px or size_px), *beside]
        needed_mb = sum(self._size_mb(px, of_train) for px, of_train in sizes)
        if needed_mb <= self.memory_limit_mb:
            return _in_memory(self, decoding, size_px=size_px, progress=progress)
        return _streaming(self, decoding, size_px=size_px, progress=progress)

    def _size_mb(self, size_px: int, train_px: int) -> float:
        """Return the memory for the decoded images, and for their masks if they have some."""
        size = 0
        for name, part in self.pictures.items():
            side = train_px if name == "train" else size_px
            size += 3 * len(part) * side**2
            if self.judged_px is not None:
                size += len(part) * (train_px if name == "train" else self.judged_px) ** 2
        return size / 2**20


class Decoding(NamedTuple):
    """How a split is decoded: the sides of images and of masks, and the preparation."""

    px: int
    target_px: int
    preparation: Preparation

    def fast(self) -> Decoding:
        """Return the same with `exact` off."""
        return self._replace(preparation=replace(self.preparation, exact=False))


def _in_memory(
    source: ImageSource,
    decoding: Mapping[str, Decoding],
    *,
    size_px: int,
    progress: ProgressCallback | None,
) -> Dataset:
    total = sum(len(part) for part in source.pictures.values())
    done = 0
    splits: dict[str, ArraySplit] = {}
    bad: list[Unreadable] = []
    for name, part in source.pictures.items():
        px, target_px, preparation = decoding[name]
        images = np.empty((len(part), 3, px, px), np.uint8)
        shifted = part_of(progress, done=done, total=total)
        found = decode_into(images, part, preparation, progress=shifted)
        bad += found.values()
        everyone = np.arange(len(part))
        targets = part.targets(everyone, size_px=target_px, preparation=preparation)
        splits[name] = ArraySplit(images, targets)
        done += len(part)
    if bad:
        raise UnreadableError(bad)
    numbers = np.arange(len(splits["train"]))
    return _dataset(source, splits, size_px, splits["train"].images, numbers)


def _streaming(
    source: ImageSource,
    decoding: Mapping[str, Decoding],
    *,
    size_px: int,
    progress: ProgressCallback | None,
) -> Dataset:
    require_readable(
        source.pictures,
        source.memory,
        size_px=size_px,
        preparation=source.preparation,
        progress=progress,
    )
    train = source.pictures["train"]
    step = max(1, len(train) // SAMPLED_FOR_STATISTICS)
    numbers = np.arange(0, len(train), step)
    images = decode_all(
        SomePictures(train, numbers),
        size_px=size_px,
        preparation=decoding["train"].preparation,
        progress=progress,
    )
    # They are decoded every epoch, and no app sees them.
    decoding = {**decoding, "train": decoding["train"].fast()}
    splits = {
        name: StreamingSplit(
            part,
            decoding[name].px,
            source.workers,
            decoding[name].preparation,
            decoding[name].target_px,
        )
        for name, part in source.pictures.items()
    }
    return _dataset(source, splits, size_px, images, numbers)


def _dataset(
    source: ImageSource,
    splits: Mapping[str, Split],
    size_px: int,
    sample: NDArray[np.uint8],
    numbers: NDArray[np.int64],
) -> Dataset:
    """Return the data set; `sample` are the training images with these indices."""
    train = source.pictures["train"]
    for line in oddities(sample, lambda index: train.describe(int(numbers[index]))):
        if line not in source.said:
            source.said.add(line)
            _log.warning("%s: %s", source.name, line)
    found = channel_statistics(sample)
    changes = source.changes
    if source.accepts_changes and not changes and found != source.normalized:
        changes = (REPAINTED,)
    mean, std = source.normalized or found
    return Dataset(
        name=source.name,
        classes=source.classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        resolution_px=size_px,
        mean=mean,
        std=std,
        preparation=source.preparation,
        contents=source.contents,
        left_out=tuple(one.name for one in source.left_out),
        changes=changes,
        rule=source.rule,
        task=source.task,
    )
