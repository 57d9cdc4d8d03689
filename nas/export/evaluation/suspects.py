"""Run a network over a data set, and list the images whose labels look wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.data.image_files.decode import ProgressCallback, SomePictures, decode_into, part_of
from nas.data.images import batch_indices
from nas.data.label_errors import Doubt, label_errors
from nas.data.source import ImageSource
from nas.export.models import Model

AT_ONCE = 64

COMPARED = (("train",), ("val", "test"))
"""Splits that share their thresholds: a network is surer of the images that it was trained on."""


@dataclass(frozen=True)
class Suspect:
    """An image whose label looks wrong.

    Attributes:
        split: Its split.
        index: Its index in the split.
        name: Its path, or another name.
        label: Its class in the data.
        guess: The class of the data that it looks like.
        label_probability: The network's probability of `label`.
        guess_probability: The network's probability of `guess`.
    """

    split: str
    index: int
    name: str
    label: str
    guess: str
    label_probability: float
    guess_probability: float

    @property
    def margin(self) -> float:
        """How much more likely the guess is than the label, 0..1."""
        return self.guess_probability - self.label_probability


def find_suspects(
    model: Model,
    source: ImageSource,
    *,
    indices: Sequence[int],
    progress: ProgressCallback | None = None,
) -> list[Suspect]:
    """Find images that a network takes for another class; see `nas.data.label_errors`.

    Images that cannot be read are skipped.

    Args:
        model: The network.
        source: The images.
        indices: The network's class of each class of the data.
        progress: Called with (images done, total).

    Returns:
        The largest margin first.
    """
    lookup = np.array(indices, np.int64)
    folders = dict(zip(indices, source.classes, strict=True))
    total, done = sum(len(part) for part in source.pictures.values()), 0
    found: list[Suspect] = []
    for splits in COMPARED:
        shown = part_of(progress, done=done, total=total)
        members, shares = _classified(model, source, splits, shown)
        own = [int(source.pictures[split].strata[index]) for split, index in members]
        found += [
            _suspect(source, members[doubt.index], folders[doubt.guess], doubt)
            for doubt in label_errors(shares, lookup[own])
        ]
        done += sum(len(source.pictures[split]) for split in splits)
    return sorted(found, key=lambda suspect: -suspect.margin)


def _suspect(source: ImageSource, member: tuple[str, int], guess: str, doubt: Doubt) -> Suspect:
    split, index = member
    part = source.pictures[split]
    return Suspect(
        split,
        index,
        part.describe(index),
        source.classes[int(part.strata[index])],
        guess,
        doubt.label_probability,
        doubt.guess_probability,
    )


def _classified(
    model: Model, source: ImageSource, splits: Sequence[str], progress: ProgressCallback | None
) -> tuple[list[tuple[str, int]], NDArray[np.float32]]:
    """Return split and index of all images that can be read, and their probabilities (n, classes)."""
    px, done, usage = model.feed.size_px, 0, model.feed.usage
    prepared = replace(source.preparation, background=usage.background, crop=usage.crop)
    members: list[tuple[str, int]] = []
    shares = [np.empty((0, len(model.feed.classes)), np.float32)]
    for split in splits:
        part = source.pictures[split]
        for chosen in batch_indices(len(part), AT_ONCE, generator=None, drop_last=False):
            pixels = np.empty((len(chosen), 3, px, px), np.uint8)
            bad = decode_into(pixels, SomePictures(part, chosen), prepared)
            good = [place for place in range(len(chosen)) if place not in bad]
            if good:
                shares.append(model.probabilities(pixels[good]))
            members += [(split, int(chosen[place])) for place in good]
            done += len(chosen)
            if progress is not None:
                progress(done, 0)
    return members, np.concatenate(shares)
