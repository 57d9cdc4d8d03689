"""Images with masks in every layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.data.annotations.annotated_folder import AnnotatedFolder
from nas.data.finding import task_of_source
from nas.data.masks.labels import VOC_CLASSES
from nas.data.masks.pictures import MaskPictures
from tests.nas.mask_folders import (
    CLASSES,
    cityscapes,
    folders,
    photo,
    read,
    save,
    values,
    voc,
)


def mask_of(
    found: AnnotatedFolder[MaskPictures], index: int = 0, *, split: str = "train"
) -> np.ndarray:
    return found.splits[split].original(index)


def test_image_and_mask_folders(tmp_path: Path) -> None:
    found = read(folders(tmp_path))
    assert (found.format, found.classes, found.notes) == ("folders", CLASSES, ())
    assert {split: len(part) for split, part in found.splits.items()} == {"train": 3, "test": 3}
    assert found.splits["train"].names == tuple(f"train/images/{name}.jpg" for name in "abc")
    assert np.array_equal(mask_of(found), values())


def test_folders_without_splits_are_training_images(tmp_path: Path) -> None:
    for name in ("x/a", "y/a"):
        photo(tmp_path / "images" / f"{name}.jpg")
        save(tmp_path / "masks" / f"{name}.tif")
    (tmp_path / "labels.txt").write_text("\ufeffsky\n\n sea \nsand", encoding="utf-8")
    found = read(tmp_path)
    assert found.classes == CLASSES
    assert found.splits["train"].names == ("images/x/a.jpg", "images/y/a.jpg")


def test_splits_below_the_folders_of_images_and_masks(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in "ab":
            photo(tmp_path / "images" / split / f"{name}.jpg")
            save(tmp_path / "masks" / split / f"{name}.png")
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    found = read(tmp_path)
    assert {split: len(part) for split, part in found.splits.items()} == {"train": 2, "test": 2}
    assert found.splits["test"].names == ("images/test/a.jpg", "images/test/b.jpg")


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "labels"),
        ("train/images", "train/labels"),
        ("img_dir/train", "ann_dir/train"),
        ("JPEGImages", "SegmentationClassPNG"),
        ("JPEGImages", "SegmentationClass"),
    ],
)
def test_other_tools_names_of_the_two_folders(tmp_path: Path, images: str, masks: str) -> None:
    for name in "ab":
        photo(tmp_path / images / f"{name}.jpg")
        save(tmp_path / masks / f"{name}.png")
        photo(tmp_path / "SegmentationClassVisualization" / f"{name}.jpg")
    (tmp_path / "class_names.txt").write_text("\n".join(CLASSES))
    assert task_of_source(str(tmp_path)) == "segment"
    found = read(tmp_path)
    assert (found.format, found.classes) == ("folders", CLASSES)
    assert found.splits["train"].names == (f"{images}/a.jpg", f"{images}/b.jpg")


def test_labelme_s_list_numbers_what_is_ignored_from_minus_one(tmp_path: Path) -> None:
    (folders(tmp_path) / "labels.txt").write_text("\n".join(("__ignore__", *CLASSES)))
    assert read(tmp_path).classes == CLASSES


def test_voc_s_layout(tmp_path: Path) -> None:
    found = read(voc(tmp_path))
    assert (found.format, found.classes) == ("VOC", VOC_CLASSES)
    assert found.splits["train"].names == ("JPEGImages/2007_1.jpg", "JPEGImages/2007_2.jpg")
    assert found.splits["val"].names == ("JPEGImages/2007_3.jpg",)
    assert np.array_equal(mask_of(found), values())
    assert found.notes == (f"{tmp_path} has no labels.txt: classes are Pascal VOC's 21",)


def test_voc_s_layout_with_a_list_of_labels(tmp_path: Path) -> None:
    (voc(tmp_path) / "labels.txt").write_text("\n".join(CLASSES))
    assert read(tmp_path).classes == CLASSES


def test_a_voc_test_list_without_masks_is_left_out(tmp_path: Path) -> None:
    (voc(tmp_path) / "ImageSets" / "Segmentation" / "test.txt").write_text("2007_4\n")
    found = read(tmp_path)
    assert set(found.splits) == {"train", "val"}
    assert found.notes[1:] == (
        f"{tmp_path}/ImageSets/Segmentation/test.txt is not read: none of its images has a mask",
    )


def test_cvat_s_layout_with_colors(tmp_path: Path) -> None:
    colors = ((51, 221, 255), (250, 50, 83), (0, 0, 0))
    photo(tmp_path / "JPEGImages" / "one photo.jpg")
    pixels = np.array(colors, np.uint8)[values()]
    pixels[0, 0] = (224, 224, 192)
    save(tmp_path / "SegmentationClass" / "one photo.png", pixels)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("one photo\n")
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\n"
        + "".join(
            f"{name}:{','.join(map(str, color))}::\n"
            for name, color in zip(CLASSES, colors, strict=True)
        )
    )
    found = read(tmp_path)
    wanted = values()
    wanted[0, 0] = 255
    assert found.classes == CLASSES
    assert np.array_equal(mask_of(found), wanted)


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_cityscapes_layout(tmp_path: Path, kind: str) -> None:
    found = read(cityscapes(tmp_path, kind=kind))
    assert found.format == "Cityscapes"
    assert (len(found.classes), found.classes[10], found.classes[0]) == (19, "sky", "road")
    assert {split: len(part) for split, part in found.splits.items()} == {"train": 2, "val": 1}
    assert np.array_equal(mask_of(found), np.array([10, 0, 255])[values()])
    assert found.notes == (f"{tmp_path}/leftImg8bit/test is not read: its masks are not public",)
