"""Masks are loaded beside their images, at any size, as they are seen."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import load
from nas.data.finding import find
from nas.data.image_files.unreadable import UnreadableError
from nas.data.images import Dataset
from nas.data.load import load_dataset, open_source
from nas.data.streaming import StreamingSplit
from tests.nas.mask_folders import (
    CLASSES,
    SIZE,
    folders,
    photo,
    read,
    save,
    values,
)

TURNED = 6
"""EXIF: shown after a quarter turn clockwise."""


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "upright"])
def test_a_mask_is_turned_with_its_photo_if_it_is_stored_like_it(
    tmp_path: Path, stored: bool
) -> None:
    folders(tmp_path)
    upright = values()
    on_disk = np.rot90(upright)  # a quarter turn clockwise makes it upright
    photo(tmp_path / "train/images/a.jpg", mask=np.ascontiguousarray(on_disk), orientation=TURNED)
    save(tmp_path / "train/masks/a.png", np.ascontiguousarray(on_disk if stored else upright))
    found = read(tmp_path)
    assert np.array_equal(found.splits["train"].original(0), upright)
    assert found.notes == ()
    data = load_dataset(
        str(tmp_path), resolution_px=24
    )  # the shorter side, at which masks are judged
    for split in (data.train, data.val):
        for image, mask in zip(split.images, split.targets, strict=True):
            assert_aligned(image, mask)


def test_a_mask_whose_size_does_not_tell_is_taken_as_upright(tmp_path: Path) -> None:
    folders(tmp_path)
    photo(tmp_path / "train/images/b.jpg", orientation=3)
    found = read(tmp_path)
    assert np.array_equal(found.splits["train"].original(1), values())
    assert found.notes == (
        "masks are taken as upright where their size does not tell, for a photo that EXIF turns, such as "
        f"{tmp_path}/train/images/b.jpg",
    )


def assert_aligned(image: np.ndarray, mask: np.ndarray) -> None:
    """The brightness of most pixels says their class: all but those at its edges."""
    apart = np.abs(image[0].astype(int) - 100 * mask.astype(int))
    assert (apart < 25).mean() > 0.9


@pytest.mark.parametrize("memory_limit_mb", [4096, 0], ids=["memory", "streaming"])
def test_masks_are_loaded_beside_their_images(tmp_path: Path, memory_limit_mb: int) -> None:
    root = str(folders(tmp_path, count=10))
    data = load_dataset(root, resolution_px=16, memory_limit_mb=memory_limit_mb, workers=0)
    assert (data.task, data.classes, data.preparation.fit) == ("segment", CLASSES, "stretch")
    assert isinstance(data.train, StreamingSplit) == (memory_limit_mb == 0)
    assert data.train.labels is None
    assert (len(data.train), len(data.val), len(data.test)) == (8, 2, 10)
    judged = SIZE[1]  # the shorter side
    for split, side in ((data.train, 16), (data.val, judged), (data.test, judged)):
        images, masks = next(split.batches(2))
        assert images.shape == (2, 3, 16, 16)
        assert (masks.dtype, masks.shape) == (torch.uint8, (2, side, side))
        for image, mask in zip(images.numpy(), masks.numpy(), strict=True):
            assert np.array_equal(mask, Image.fromarray(values()).resize((side, side), 0))
            assert_aligned(image, np.asarray(Image.fromarray(mask).resize((16, 16), 0)))


def test_masks_count_against_the_memory(tmp_path: Path) -> None:
    """20 images of 132 x 132 pixels are 0.997 MB; with 8 masks of that size in train they are 1.13."""
    source = open_source(str(folders(tmp_path, count=10)), memory_limit_mb=1, workers=0)
    assert isinstance(source.at(132).train, StreamingSplit)
    assert not isinstance(source.at(120).train, StreamingSplit)


def test_masks_are_judged_at_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "MOST_JUDGED_PX", 20)
    data = load_dataset(str(folders(tmp_path)), resolution_px=16)
    assert data.test.targets.shape == (3, 20, 20)


@pytest.mark.parametrize("limit_mb", [4096, 0], ids=["memory", "streaming"])
def test_a_mask_that_is_gone_later_is_told(tmp_path: Path, limit_mb: int) -> None:
    source = open_source(str(folders(tmp_path)), memory_limit_mb=limit_mb, workers=0)
    data = source.at(16) if limit_mb == 0 else None
    (tmp_path / "test/masks/b.png").unlink()
    with pytest.raises(UnreadableError, match=r"masks/b\.png \(No such file or directory\)"):
        list((data or source.at(16)).test.batches(4))


def test_a_changed_mask_changes_the_contents(tmp_path: Path) -> None:
    root = str(folders(tmp_path))
    before = open_source(root).contents
    noise = np.random.default_rng(0).integers(0, 3, SIZE[::-1], np.uint8)
    save(tmp_path / "train/masks/b.png", noise)
    now = open_source(root).contents
    changed = [
        name
        for split, files in before.splits.items()
        for name, size in files.items()
        if now.splits[split][name] != size
    ]
    assert changed == ["train/images/b.jpg"]


def test_checking_shows_progress_after_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(folders(tmp_path))
    told: list[tuple[int, int]] = []
    find(root, progress=lambda done, total: told.append((done, total)))
    assert not told
    ticks = itertools.count(0, 3)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    find(root, progress=lambda done, total: told.append((done, total)))
    assert told == [(6, 6)]


@pytest.mark.slow
@pytest.mark.skipif("MOBILE_NAS_PHOTOS" not in os.environ, reason="MOBILE_NAS_PHOTOS has photos")
def test_photos_of_clothes() -> None:
    """Most of their pixels are background, and its share is that of the masks at their own size."""
    data: Dataset = load_dataset(f"{os.environ['MOBILE_NAS_PHOTOS']}/clothes", resolution_px=64)
    assert (data.task, len(data.classes), data.classes[0]) == ("segment", 8, "background")
    assert (len(data.train) + len(data.val), len(data.test)) == (800, 204)
    shares = np.bincount(data.train.targets.ravel(), minlength=256) / data.train.targets.size
    assert shares[0] == pytest.approx(0.77, abs=0.02)
    assert shares[:8].min() > 0
    assert shares[8:].sum() == 0


def test_an_image_that_cannot_be_read_is_told_as_such_or_left_out(tmp_path: Path) -> None:
    folders(tmp_path, count=9)
    (tmp_path / "train/images/a.jpg").write_bytes(b"")
    with pytest.raises(
        UnreadableError, match=r"train/images/a.jpg \(empty file\).*--skip-bad-image"
    ):
        load_dataset(str(tmp_path), resolution_px=32)
    data = load_dataset(str(tmp_path), resolution_px=32, skip_bad_images=True)
    assert data.left_out == (f"{tmp_path}/train/images/a.jpg",)
    assert len(data.train) + len(data.val) == 8
