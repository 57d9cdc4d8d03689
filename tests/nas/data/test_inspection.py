"""Looking through a data set: counts, unreadable images, copies across splits and classes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from nas.data.inspection import copies, inspect
from nas.data.load import open_source
from nas.tasks.classification import Classification
from tests.nas.image_sets import smooth_image


@pytest.fixture
def folder(tmp_path):
    for number, place in enumerate(
        ["train/cat", "train/dog", "val/cat", "val/dog", "test/cat", "test/dog"]
    ):
        (tmp_path / "set" / place).mkdir(parents=True)
        for image in range(4):
            smooth_image(10 * number + image).save(tmp_path / "set" / place / f"{image}.png")
    return tmp_path / "set"


def seen(folder):
    return inspect(open_source(str(folder)), regions=Classification().regions)


def test_a_sound_set(folder):
    found = seen(folder)
    assert found.classes == ("cat", "dog")
    assert found.counts == {"train": (4, 4), "val": (4, 4), "test": (4, 4)}
    assert found.sides == (40, 40, 40)
    assert (found.unreadable, found.copies) == ((), ())
    assert not any(found.missing.values())


def test_copies_saved_anew_are_found(folder):
    shutil.copy(folder / "train/cat/0.png", folder / "test/cat/copied.png")
    smooth_image(1).save(
        folder / "train/dog/again.jpg", quality=95, subsampling=0
    )  # train/cat/1.png
    smooth_image(2, side=80).save(folder / "train/cat/larger.png")
    groups = {
        tuple(sorted(f"{m.split}/{m.label}" for m in group.members)): group
        for group in seen(folder).copies
    }
    assert set(groups) == {
        ("test/cat", "train/cat"),
        ("train/cat", "train/dog"),
        ("train/cat", "train/cat"),
    }
    assert groups["test/cat", "train/cat"].across_splits
    assert groups["train/cat", "train/dog"].across_classes
    same = groups["train/cat", "train/cat"]
    assert not same.across_splits
    assert not same.across_classes


def test_images_of_one_color_are_no_copies(folder):
    for split in ("train", "test"):
        Image.new("RGB", (40, 40), "white").save(folder / split / "cat/white.png")
    assert seen(folder).copies == ()


def test_damaged_images_are_named(folder):
    (folder / "val/dog/torn.png").write_bytes((folder / "val/dog/0.png").read_bytes()[:90])
    (bad,) = seen(folder).unreadable
    assert bad.name.endswith("torn.png")


def test_groups_of_many_blocks():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2500, 3, 4, 4), np.uint8)
    for one, other in ((0, 2400), (7, 1500), (1500, 2000)):
        images[other] = images[one]
    assert copies(images) == [[0, 2400], [7, 1500, 2000]]
