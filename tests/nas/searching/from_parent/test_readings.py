"""The images that trials are read on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.data.images import ArraySplit
from nas.data.load import open_source
from nas.searching.from_parent.readings import kept_back
from nas.searching.from_parent.trial_images import Joined, for_trials
from tests.nas.adapting.test_adapt import DATA
from tests.nas.killing import make_images


def all_of(split):
    images, labels = zip(*split.batches(7), strict=True)
    return torch.cat(images).numpy(), torch.cat(labels).numpy()


def test_trials_are_read_on_what_they_do_not_train_on():
    trial = for_trials(DATA)
    back = kept_back(train=len(DATA.train), val=len(DATA.val))
    assert back > 0
    assert len(trial.train) == len(DATA.train) - back
    assert len(trial.val) == len(DATA.val) + back
    assert trial.test is DATA.test
    images, labels = all_of(trial.val)
    np.testing.assert_array_equal(images[: len(DATA.val)], DATA.val.images)
    trained = {image.tobytes() for image in all_of(trial.train)[0]}
    whole = {image.tobytes() for image in DATA.train.images}
    read = {image.tobytes() for image in images[len(DATA.val) :]}
    assert trained | read == whole
    assert not trained & read
    assert len(labels) == len(trial.val)


def test_many_held_out_images_suffice():
    many = np.zeros((1200, 3, 8, 8), np.uint8)
    data = replace(DATA, val=ArraySplit(many, np.zeros(1200, np.int64)))
    assert for_trials(data) is data


def test_streamed_images_are_parted_alike(tmp_path):
    make_images(tmp_path)
    held = {
        limit: for_trials(open_source(str(tmp_path), memory_limit_mb=limit, workers=0).at(16))
        for limit in (0, 100)
    }
    assert not hasattr(held[0].train, "images")
    for name in ("train", "val"):
        labels = [all_of(getattr(data, name))[1] for data in held.values()]
        np.testing.assert_array_equal(*labels)


def test_larger_training_images_are_read_at_the_size_of_the_others():
    large = replace(
        DATA, train=ArraySplit(np.full((40, 3, 64, 64), 9, np.uint8), np.zeros(40, int))
    )
    images, _ = all_of(for_trials(large).val)
    assert images.shape[-1] == DATA.resolution_px
    assert (images[len(DATA.val) :] == 9).all()


def test_joined_splits_are_for_evaluation():
    joined = Joined((DATA.val, DATA.test), DATA.resolution_px)
    with pytest.raises(ValueError, match="for evaluation"):
        next(joined.batches(4, generator=torch.Generator()))
