"""Training images set aside to rank trials on."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nas.data.images import ArraySplit
from nas.data.load import load_dataset
from nas.data.streaming import StreamingSplit
from nas.searching.from_parent.set_aside import (
    fold_size,
    names_aside,
    set_aside,
    train_names,
)
from tests.nas.drawn_masks import masked_data, masked_scenes
from tests.nas.searching.from_parent.conftest import IMAGES


def test_every_image_is_either_trained_or_ranked_on_at_each_size() -> None:
    aside = set_aside(IMAGES, 200, batch_size=1, seed=3)
    for px, data in aside.items():
        whole = IMAGES[px]
        added = data.val.images[len(whole.val) :]
        assert np.array_equal(data.val.images[: len(whole.val)], whole.val.images)
        found = np.concatenate([data.train.images, added])
        flat = [images.reshape(len(images), -1) for images in (found, whole.train.images)]
        assert np.array_equal(*(np.sort(part, axis=0) for part in flat))
        assert data.test is whole.test
    ours, theirs = (aside[px].train.labels for px in (64, 32))
    assert np.array_equal(ours, theirs)  # the same images at both sizes


def test_it_takes_from_every_class_alike() -> None:
    aside = set_aside(IMAGES, 10_000, batch_size=1, seed=0)[64]
    whole = np.bincount(IMAGES[64].train.labels)
    kept = np.bincount(aside.train.labels, minlength=len(whole))
    assert (abs(kept - whole * 2 / 3) <= 1).all()


@pytest.mark.parametrize("wanted", [0, 1])
def test_nothing_is_set_aside_where_enough_is_held_out(wanted) -> None:
    assert set_aside(IMAGES, wanted, batch_size=1, seed=0) is None


def test_images_that_are_stored_larger_for_crops_are_ranked_at_the_deployed_size() -> None:
    small = IMAGES[32]
    larger = replace(small, train=IMAGES[64].train)
    aside = set_aside({32: larger}, 10_000, batch_size=1, seed=0)[32]
    assert aside.train.images.shape[-1] == 64
    assert aside.val.images.shape[-1] == 32
    grey = np.full((2, 3, 64, 64), 77, np.uint8)
    uniform = replace(small, train=ArraySplit(grey.repeat(20, 0), np.zeros(40, np.int64)))
    added = set_aside({32: uniform}, 10_000, batch_size=1, seed=0)[32].val.images[len(small.val) :]
    assert (added == 77).all()


def test_images_that_are_not_in_memory_stay_where_they_are() -> None:
    streamed = replace(IMAGES[64], train=StreamingSplit.__new__(StreamingSplit))
    assert set_aside({64: streamed}, 1000, batch_size=1, seed=0) is None


def counts(train, held_out):
    """A data set with these numbers of blank images per class."""
    splits = [
        ArraySplit(np.zeros((sum(of), 3, 1, 1), np.uint8), np.repeat(np.arange(len(of)), of))
        for of in (train, held_out)
    ]
    return replace(IMAGES[64], train=splits[0], val=splits[1], resolution_px=1)


@pytest.mark.parametrize(
    ("train", "held_out", "wanted", "batch_size", "size"),
    [
        ([1000, 1640], [100, 196], 1000, 32, 704),  # what is missing
        ([300, 300], [100, 100], 1000, 32, 200),  # at most a third
        ([500], [1000], 1000, 32, 0),  # enough are held out
        ([20, 20], [5, 5], 1000, 28, 12),
        ([20, 20], [5, 5], 1000, 29, 0),  # a batch would not stay
        ([7] * 5, [2] * 5, 13, 30, 5),  # one of each class at least
        ([7] * 5, [2] * 5, 13, 31, 0),
    ],
)
def test_the_size_of_the_fold(train, held_out, wanted, batch_size, size) -> None:
    data = counts(train, held_out)
    assert fold_size(data, wanted, batch_size=batch_size, seed=0) == size
    aside = set_aside({1: data}, wanted, batch_size=batch_size, seed=0)
    assert (0 if aside is None else len(data.train) - len(aside[1].train)) == size


def test_masks_set_aside_are_as_large_as_those_held_out() -> None:
    data = replace(masked_data(24), train=masked_scenes(40, px=32, seed=4))
    found = set_aside({24: data}, 30, batch_size=4, seed=0)
    assert found is not None
    train, val = found[24].train, found[24].val
    assert (train.images.shape, train.targets.shape) == ((29, 3, 32, 32), (29, 32, 32))
    assert (val.images.shape, val.targets.shape) == ((30, 3, 24, 24), (30, 24, 24))


def test_a_run_keeps_its_fold_when_images_are_added(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for number in range(40):
            save(tmp_path / label / f"{number}.png", rng)
    data = load_dataset(str(tmp_path), resolution_px=8)
    names = names_aside(data, 60, batch_size=1, seed=0)
    save(tmp_path / "cat" / "00.png", rng)
    grown = load_dataset(str(tmp_path), resolution_px=8, keep=data.contents)
    aside = set_aside({8: grown}, 60, batch_size=1, seed=0, before=names)[8]
    assert len(aside.val) == len(grown.val) + len(names)
    places = [train_names(grown).index(name) for name in names]
    assert np.array_equal(aside.val.images[len(grown.val) :], grown.train.images[sorted(places)])
    assert names_aside(grown, 60, batch_size=1, seed=0) != names


def save(path, rng):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
