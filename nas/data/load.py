"""Load a data set and its three splits by name."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypedDict, Unpack

from nas.data.checking import Memory, find_unreadable
from nas.data.finding import find
from nas.data.folders.contents import Contents
from nas.data.folders.layout import LayoutName
from nas.data.image_files.decode import ProgressCallback, median_side
from nas.data.image_files.opening import MAX_MEGAPIXELS
from nas.data.image_files.pictures import Pictures
from nas.data.image_files.preparation import BACKGROUND, LEAST_CROP, Preparation, usual_fit
from nas.data.image_files.unreadable import Unreadable
from nas.data.image_files.whites import white_of_sample
from nas.data.images import Dataset
from nas.data.source import ImageSource as ImageSource
from nas.data.splits.holding_out import hold_out, missing_splits, without
from nas.data.splits.rule import BY_DEFAULT, SplitRule
from search_spaces.errors import InputError

NAMED = 3

MOST_JUDGED_PX = 512
"""Largest side of the masks by which networks are judged."""

_log = logging.getLogger(__name__)


class SourceOptions(TypedDict, total=False):
    """Keyword arguments of `open_source`, for functions that pass them on."""

    rule: SplitRule
    memory_limit_mb: int
    root: Path | None
    workers: int
    background: str
    crop: float
    layout: LayoutName
    max_megapixels: float
    skip_bad_images: bool
    keep: Contents | None
    task: str | None


def load_dataset(
    source: str,
    *,
    resolution_px: int | None = None,
    progress: ProgressCallback | None = None,
    **options: Unpack[SourceOptions],
) -> Dataset:
    """Load a data set at one resolution, in memory if it fits.

    Args:
        source: See `open_source`.
        resolution_px: Height and width; None uses the median shorter side, at most 224 and a
            multiple of 32 (smaller images keep their size: Fashion-MNIST stays at 28).
        progress: Called with (images done, total) once decoding has taken two seconds.
        **options: As for `open_source`.

    Raises:
        InputError: The data set is unknown, an argument is invalid, or images cannot be read.
    """
    images = open_source(source, progress=progress, **options)
    size_px = images.default_px() if resolution_px is None else resolution_px
    return images.at(size_px, progress=progress)


def open_source(
    source: str,
    *,
    rule: SplitRule = BY_DEFAULT,
    memory_limit_mb: int = 4096,
    root: Path | None = None,
    workers: int = 2,
    background: str = BACKGROUND,
    crop: float = 1.0,
    layout: LayoutName = "auto",
    max_megapixels: float = MAX_MEGAPIXELS,
    skip_bad_images: bool = False,
    keep: Contents | None = None,
    task: str | None = None,
    progress: ProgressCallback | None = None,
) -> ImageSource:
    """Find a data set and determine its splits, without decoding images unless bad ones are left out.

    What the user should know about a folder, such as other files in it, is logged as a warning.

    Args:
        source: "fashion-mnist-subset" (part of the package), a folder of class folders with or
            without train, val and test folders above them, a folder of images with masks (see
            `nas.data.masks.folder`), or a torchvision data set such as "CIFAR10". An existing folder
            takes precedence over a torchvision name.
        rule: Which images are held out of train if the source has no val or test split.
        memory_limit_mb: Larger data sets are decoded while they are read.
        root: Folder of torchvision's data sets; default $MOBILE_NAS_DOWNLOADS, else
            ~/.cache/mobile-nas.
        workers: Processes that decode if the images do not fit.
        background: Color behind transparent pixels, as PIL names it.
        crop: Fraction of the shorter side that evaluation sees: see `Preparation`.
        layout: Of a folder: see `nas.data.folders.layout.find_layout`.
        max_megapixels: Larger images are not read.
        skip_bad_images: Leave out images that cannot be read, before the splits are drawn: all of
            them are decoded here once, and remembered.
        keep: Splits of an earlier run; its images stay in their splits.
        task: What is learned of the images; see `nas.data.finding.task_of_source`.
        progress: Called with (images checked, total) if that takes more than two seconds.

    Raises:
        InputError: The data set is unknown or annotated for another task, or an argument is invalid.
    """
    if not LEAST_CROP <= crop <= 1:
        raise InputError(
            f"crop must be from {LEAST_CROP:g} to 1, got {crop:g}: 0.875 is common, 1 crops nothing"
        )
    found = find(
        source,
        root=root,
        layout=layout,
        max_megapixels=max_megapixels,
        task=task,
        progress=progress,
    )
    for note in found.notes:
        _log.warning("%s", note)
    missing, memory = missing_splits(found), Memory.of(source)
    all_train = found.pictures["train"]
    assert all_train is not None
    fit = usual_fit(found.task)
    preparation = Preparation(background, white_of_sample(all_train), crop, fit=fit)
    left_out: tuple[Unreadable, ...] = ()
    if skip_bad_images:
        parts = {split: part for split, part in found.pictures.items() if part is not None}
        bad = find_unreadable(parts, memory, preparation=preparation, progress=progress)
        left_out = tuple(one for part in bad.values() for one in part.values())
        found = without(found, bad)
        _say_left_out(left_out)
    pictures = hold_out(found, rule, keep=keep)
    return ImageSource(
        found.name,
        found.classes,
        pictures,
        memory_limit_mb,
        workers,
        preparation,
        Contents.of(pictures, missing),
        left_out,
        memory,
        rule=rule,
        task=found.task,
        judged_px=_judged_px(all_train) if found.task == "segment" else None,
    )


def _judged_px(pictures: Pictures) -> int:
    """Return the side of masks that shows most of what is in them."""
    return min(median_side(pictures), MOST_JUDGED_PX)


def _say_left_out(left_out: tuple[Unreadable, ...]) -> None:
    if not left_out:
        return
    shown = sorted(left_out, key=lambda one: one.name)
    named = ", ".join(f"{one.name} ({one.reason})" for one in shown[:NAMED])
    more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    images = "image that" if len(left_out) == 1 else "images that"
    _log.warning("left out %d %s cannot be read: %s%s", len(left_out), images, named, more)
