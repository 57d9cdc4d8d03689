"""Every problem with a mask is reported with its file name, all at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.annotations.problems import AnnotationError
from nas.data.masks import pictures
from nas.data.masks.folder import mask_layout
from search_spaces import InputError
from tests.nas.mask_folders import (
    SIZE,
    folders,
    photo,
    read,
    save,
    values,
    voc,
)


def problems(root: Path) -> list[tuple[str, str]]:
    """Return what is wrong with a folder, as (path within it, what)."""
    with pytest.raises(AnnotationError) as raised:
        read(root)
    return [(os.path.relpath(one.where, root), one.what) for one in raised.value.found]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    train = folders(tmp_path, count=8) / "train"
    (train / "masks" / "a.png").unlink()
    (train / "images" / "b.jpg").unlink()
    save(train / "masks" / "c.png", values(size=(16, 12)))
    save(train / "masks" / "d.png", np.where(values() == 1, 9, 0).astype(np.uint8))
    save(train / "masks" / "e.png", Image.new("RGB", SIZE))
    (train / "masks" / "f.png").write_bytes(b"\x89PNG\r\n\x1a\n no image")
    photo(train / "images" / "g.png")
    (train / "images" / "h.jpg").write_bytes(b"")  # told with the images, which are read later
    found = dict(problems(tmp_path))
    assert found.pop("train/masks/f.png").startswith("damaged PNG file")
    assert found == {
        "train/images/a.jpg": "there is no mask of this name",
        "train/masks/b.png": "there is no image of this name",
        "train/masks/c.png": "is 16 x 12 pixels, and its image c.jpg is 32 x 24",
        "train/masks/d.png": "has values that stand for no class: 9 (0 to 2 are classes, 255 is ignored)",
        "train/masks/e.png": "is a color image, and no labelmap.txt says which color is which class: save "
        "one class index a pixel, or describe the colors",
        "train/images/g.png": "has the same name as g.jpg",
    }


def test_binary_masks_of_0_and_255_are_told(tmp_path: Path) -> None:
    train = folders(tmp_path) / "train"
    (tmp_path / "labels.txt").write_text("background\ncat\n")
    for split in ("train", "test"):
        for name in "abc":
            save(
                tmp_path / split / "masks" / f"{name}.png",
                np.where(values() > 0, 255, 0).astype(np.uint8),
            )
    with pytest.raises(
        InputError, match=r"no mask has 'cat', which is 1, and 255 is ignored: save"
    ):
        read(tmp_path)
    save(train / "masks" / "c.png", np.where(values() > 0, 1, 0).astype(np.uint8))
    assert len(read(tmp_path).splits["train"]) == 3


def test_a_truncated_mask_is_told(tmp_path: Path) -> None:
    mask = folders(tmp_path) / "train" / "masks" / "a.png"
    noise = np.random.default_rng(0).integers(0, 3, SIZE[::-1], np.uint8)
    save(mask, noise)
    mask.write_bytes(mask.read_bytes()[:-60])
    (where, what), *others = problems(tmp_path)
    assert where == "train/masks/a.png"
    assert "truncated" in what
    assert not others


def test_listed_names_without_files_are_told(tmp_path: Path) -> None:
    lists = voc(tmp_path) / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("2007_1\n2007_1\n2007_4\nnowhere\n")
    (lists / "val.txt").write_text("2007_1\n2007_3\n")
    assert problems(tmp_path) == [
        ("ImageSets/Segmentation/train.txt", "2007_4 has no mask in SegmentationClass/"),
        ("ImageSets/Segmentation/train.txt", "nowhere has no image in JPEGImages/"),
        ("ImageSets/Segmentation/train.txt", "nowhere has no mask in SegmentationClass/"),
        ("ImageSets/Segmentation/val.txt", "2007_1 is also in train.txt"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("labels.txt", "sky\nsea\nsky\n", "sky is listed twice"),
        ("labels.txt", "sky\n", "lists 1 classes, and 2 to 255 are possible"),
        ("labels.txt", "", "lists 0 classes, and 2 to 255 are possible"),
        ("labels.txt", "\n".join(map(str, range(256))), "lists 256 classes, and 2 to 255 are poss"),
        ("labelmap.txt", "sky:0,0,0\nsea\n", "line 2 is 'sea', expected NAME:RED,GREEN,BLUE"),
        ("labelmap.txt", "sky:0,0,256::\nsea:1,1,1", "line 1 is 'sky:0,0,256::', expected NAME"),
        ("labelmap.txt", "sky:0,0,0\nsea:0,0,0\n", "line 2: sea has the color of sky"),
        ("labelmap.txt", "sky:0,0,0\nsky:1,0,0\n", "sky is listed twice"),
    ],
)
def test_what_is_wrong_with_a_list_of_classes(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (folders(tmp_path) / name).write_text(text)
    assert any(where == name and what.startswith(said) for where, what in problems(tmp_path))


def test_masks_need_a_list_of_classes(tmp_path: Path) -> None:
    (folders(tmp_path) / "labels.txt").unlink()
    with pytest.raises(InputError, match=r"has masks, but no labels.txt that says what their val"):
        read(tmp_path)


def test_voc_needs_a_list_of_training_images(tmp_path: Path) -> None:
    (voc(tmp_path) / "ImageSets" / "Segmentation" / "train.txt").unlink()
    with pytest.raises(InputError, match=r"Segmentation has no train.txt: write the names"):
        read(tmp_path)


def test_a_folder_without_masks_is_told(tmp_path: Path) -> None:
    assert mask_layout(tmp_path) is None
    with pytest.raises(InputError, match=r"has no masks: expected images/ and masks/, or the lay"):
        read(tmp_path)


@pytest.mark.parametrize("inside", ["images", "masks"])
def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, close_folder: Callable[[Path], None], inside: str
) -> None:
    place = folders(tmp_path) / "train" / inside
    close_folder(place)
    with pytest.raises(InputError, match=f"^{place}: Permission denied: give files that can be"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "x" * 300])
def test_a_folder_that_is_not_there_has_no_masks(tmp_path: Path, name: str) -> None:
    assert mask_layout(tmp_path / name) is None


def test_empty_splits_are_told(tmp_path: Path) -> None:
    folders(tmp_path)
    for kind in ("images", "masks"):
        (tmp_path / "val" / kind).mkdir(parents=True)
    assert problems(tmp_path) == [("val", "there are no files in images/ and masks/")]


def test_masks_are_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path)
    read(tmp_path)
    looked: list[str] = []
    known = pictures.class_indices
    monkeypatch.setattr(
        pictures, "class_indices", lambda image, coding: looked.append("") or known(image, coding)
    )
    read(tmp_path)
    assert not looked
    save(tmp_path / "train/masks/b.png", np.full(SIZE[::-1], 2, np.uint8))
    os.utime(tmp_path / "train/masks/b.png", (1, 1))
    read(tmp_path)
    assert len(looked) == 1
    (tmp_path / "labels.txt").write_text("sky\nsea\n")  # other classes: all are checked again
    assert len(problems(tmp_path)) == 6
