"""Split off from train what a data set lacks, and drop images that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nas.data.finding import Found
from nas.data.folders.contents import Contents
from nas.data.image_files.pictures import Pictures, SomePictures
from nas.data.image_files.unreadable import Unreadable
from nas.data.splits.rule import SplitRule
from nas.data.splits.splitting import keys_of_names, split_as_before, stratified_split
from search_spaces.errors import InputError


def missing_splits(found: Found) -> tuple[str, ...]:
    """Return which of test and val a data set lacks, in the order in which they are drawn."""
    return tuple(split for split in ("test", "val") if found.pictures[split] is None)


def hold_out(found: Found, rule: SplitRule, *, keep: Contents | None = None) -> dict[str, Pictures]:
    """Split off from train what the source lacks; both fractions refer to the whole of train.

    Args:
        found: The data set.
        rule: How to choose images; those without files are always drawn by position.
        keep: Splits of an earlier run; its images stay in their splits.

    Raises:
        InputError: A fraction is not between 0 and 1, or a split would be empty.
    """
    fractions = {"test": rule.test_fraction, "val": rule.val_fraction}
    for split, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise InputError(
                f"{split}_fraction must be between 0 and 1, got {fraction}: give for instance 0.2"
            )
    missing = missing_splits(found)
    if sum(fractions[split] for split in missing) >= 1:
        raise InputError(
            f"val_fraction {rule.val_fraction} and test_fraction {rule.test_fraction} leave nothing to "
            "train on: their sum must be below 1"
        )
    pictures = {split: part for split, part in found.pictures.items() if part is not None}
    left = 1.0
    for split in missing:
        train, fraction = pictures["train"], fractions[split] / left
        names = train.names
        if names is None or (rule.split_by == "random" and keep is None):
            stay, out = stratified_split(train.strata, fraction, seed=rule.seed)
        else:
            keys = keys_of_names(names, seed=rule.seed, split=split)
            if keep is None:
                stay, out = stratified_split(train.strata, fraction, seed=rule.seed, keys=keys)
            else:
                stay, out = split_as_before(
                    train.strata,
                    fraction,
                    names=names,
                    keys=keys,
                    held_out=keep.splits.get(split, {}).keys(),
                    before=keep.drawn_from,
                )
        pictures |= {"train": SomePictures(train, stay), split: SomePictures(train, out)}
        left -= fractions[split]
    for split, part in pictures.items():
        if not len(part):
            raise InputError(
                f"{found.name} leaves no image for {split}: give every class three or more images"
            )
    return pictures


def without(found: Found, bad: Mapping[str, Mapping[int, Unreadable]]) -> Found:
    """Drop images from a data set.

    Args:
        found: The data set.
        bad: The images, by split and index.

    Raises:
        InputError: A class of train, or a whole split, would be empty.
    """
    pictures: dict[str, Pictures | None] = dict(found.pictures)
    for split, some in bad.items():
        part = pictures[split]
        if part is None or not some:
            continue
        everyone = np.arange(len(part))
        stay = np.setdiff1d(everyone, np.array(sorted(some), np.int64))
        lost = part.classes_of(everyone) - part.classes_of(stay)
        if not len(stay) or (split == "train" and lost):
            what = f"class {found.classes[min(lost)]!r}" if len(stay) else "it"
            example = next(iter(some.values()))
            raise InputError(
                f"{split} of {found.name}: no image of {what} can be read, for instance {example.name} "
                f"({example.reason}): repair them, or remove the class"
            )
        pictures[split] = SomePictures(part, stay)
    return found._replace(pictures=pictures)
