"""Splits: batches, streaming against memory, holding out, statistics."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.data.images import ArraySplit, Dataset, channel_statistics, require_batch
from nas.data.load import load_dataset
from nas.data.share import Share
from nas.data.splits.splitting import stratified_split
from nas.data.streaming import StreamingSplit
from search_spaces.errors import InputError


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels_of(split: ArraySplit, generator: torch.Generator | None) -> list[int]:
    return torch.cat([labels for _, labels in split.batches(4, generator=generator)]).tolist()


@pytest.fixture
def counted() -> ArraySplit:
    labels = np.arange(10)
    images = np.broadcast_to(labels[:, None, None, None], (10, 3, 8, 8)).astype(np.uint8)
    return ArraySplit(images, labels)


def test_without_a_generator_the_order_is_the_stored_one(counted: ArraySplit) -> None:
    assert labels_of(counted, None) == list(range(10))


def test_images_go_with_their_labels(counted: ArraySplit) -> None:
    for images, labels in counted.batches(3, generator=seeded(0)):
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert images[:, 0, 0, 0].tolist() == labels.tolist()


def test_targets_need_not_be_labels(counted: ArraySplit) -> None:
    """A mask for each image, or a table of boxes, is batched and chosen like a label."""
    masks = ArraySplit(counted.images, counted.images[:, 0])
    for images, targets in masks.batches(4, generator=seeded(0)):
        assert torch.equal(images[:, 0], targets)
    assert masks.labels is None
    assert masks.take(np.array([7, 2])).targets[:, 0, 0].tolist() == [7, 2]


def test_shuffling_follows_the_generator(counted: ArraySplit) -> None:
    first = labels_of(counted, seeded(3))
    assert first == labels_of(counted, seeded(3))
    assert first != labels_of(counted, seeded(4))
    assert sorted(first) == list(range(10))
    generator = seeded(3)
    assert labels_of(counted, generator) != labels_of(counted, generator)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_drop_last(counted: ArraySplit, drop_last: bool, sizes: list[int]) -> None:
    assert [len(labels) for _, labels in counted.batches(4, drop_last=drop_last)] == sizes


def test_read_only_arrays_do_not_warn_and_are_not_written(counted: ArraySplit) -> None:
    counted.images.flags.writeable = False
    counted.labels.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, _ = next(counted.batches(4))
    images.zero_()
    assert counted.images[1].max() == 1


def test_splits_can_be_pickled_without_copying_pixels(counted: ArraySplit) -> None:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(counted, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 1000
    assert np.array_equal(pickle.loads(data, buffers=buffers).images, counted.images)


def test_streaming_gives_what_memory_gives(make_folder: Callable[..., Path]) -> None:
    root = str(make_folder({"train/a": 7, "train/b": 6, "val/a": 3, "test/b": 2}))
    held = load_dataset(root, resolution_px=12)
    for workers in (0, 2):
        streamed = load_dataset(root, resolution_px=12, memory_limit_mb=0, workers=workers)
        assert isinstance(streamed.train, StreamingSplit)
        assert (streamed.mean, streamed.std, streamed.classes) == (
            held.mean,
            held.std,
            held.classes,
        )
        for split in ("train", "val", "test"):
            for seed in (None, 5):
                batches = [
                    list(
                        getattr(dataset, split).batches(
                            4, generator=None if seed is None else seeded(seed)
                        )
                    )
                    for dataset in (held, streamed)
                ]
                for (images, labels), (others, their_labels) in zip(*batches, strict=True):
                    levels = (images.int() - others.int()).abs()
                    if split == "train":  # resized by torch, in the square alone
                        levels = levels[..., 2:-2, 2:-2] - 1
                    assert levels.max() <= 0
                    assert torch.equal(labels, their_labels)


@pytest.mark.parametrize("world", [2, 3, 7])
def test_parts_of_streamed_batches_are_those_of_held_ones(
    make_folder: Callable[..., Path], world: int
) -> None:
    root = str(make_folder({"train/a": 7, "train/b": 6, "val/a": 3, "test/b": 2}))
    held = load_dataset(root, resolution_px=12).val
    streamed = load_dataset(root, resolution_px=12, memory_limit_mb=0, workers=0).val
    for rank in range(world):  # a part of three images may be empty
        one, other = (split.batches(4, share=Share(rank, world)) for split in (held, streamed))
        for (images, labels), (others, their_labels) in zip(one, other, strict=True):
            assert torch.equal(images, others)
            assert torch.equal(labels, their_labels)


def test_streaming_leaves_the_global_generator_alone(make_folder: Callable[..., Path]) -> None:
    root = str(make_folder({"a": 5, "b": 5}))
    dataset = load_dataset(root, resolution_px=8, memory_limit_mb=0, workers=1)
    before = torch.get_rng_state()
    list(dataset.train.batches(4, generator=seeded(0)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 1])
def test_streaming_names_a_broken_image_in_one_line(
    make_folder: Callable[..., Path], workers: int
) -> None:
    root = make_folder({"train/a": 4, "train/b": 4, "val/a": 2, "test/a": 1})
    dataset = load_dataset(str(root), resolution_px=8, memory_limit_mb=0, workers=workers)
    (root / "val" / "a" / "001.png").write_bytes(b"broken")  # after the check that all can be read
    with pytest.raises(InputError, match=r"001\.png") as error:
        list(dataset.val.batches(4))
    assert "\n" not in str(error.value)


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_stratified_split(counts: list[int], fraction: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    stay, held_out = stratified_split(labels, fraction, seed=seed)
    assert sorted([*stay, *held_out]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        wanted = int((labels[held_out] == label).sum())
        if count < 2:
            assert wanted == 0
        else:
            assert 1 <= wanted <= count - 1
            assert abs(wanted - fraction * count) <= 1
    again = stratified_split(labels, fraction, seed=seed)
    assert np.array_equal(stay, again[0])


def test_another_seed_holds_out_other_images() -> None:
    labels = np.zeros(100, np.int64)
    first, second = (stratified_split(labels, 0.5, seed=seed)[1] for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_statistics_are_those_of_the_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 200, (300, 3, 5, 7), np.uint8)
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(images.mean(axis=(0, 2, 3)) / 255)
    assert std == pytest.approx(images.std(axis=(0, 2, 3)) / 255)


def test_a_batch_larger_than_train_is_refused(small_dataset: Dataset) -> None:
    require_batch(small_dataset, 48)
    with pytest.raises(InputError, match="batch_size is 49, but random has 48") as error:
        require_batch(small_dataset, 49)
    assert "\n" not in str(error.value)
