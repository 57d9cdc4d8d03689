"""`nas data` with boxes and with masks."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.nas.cli.commands.test_evaluate_dense import boxes, masks, photo

OBJECT = (
    "<object><name>{}</name>{}<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>{}</xmax><ymax>30</ymax>"
    "</bndbox></object>"
)


def annotated(folder, number, *objects):
    """Write a photo of 80 x 60 pixels with objects (class, width, difficult)."""
    photo(folder / f"{number}.png", np.random.default_rng(100 + number))
    marks = {True: "<difficult>1</difficult>", False: ""}
    text = "".join(OBJECT.format(name, marks[hard], width) for name, width, hard in objects)
    (folder / f"{number}.xml").write_text(f"<annotation>{text}</annotation>")


def test_boxes_are_counted_by_class_and_split(nas, tmp_path):
    data = boxes(tmp_path / "data")  # 12, 4 and 4 images, cat and dog in turns
    annotated(data / "train", 90, ("cat", 40, False), ("cat", 80, False), ("dog", 8, True))
    annotated(data / "train", 91)
    annotated(data / "test", 92)
    code, out, err = nas("data", data)
    assert code == 0, err
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert rows["cat"].split()[1:10] == ["8", "in", "7", "2", "in", "2", "2", "in", "2"]
    assert rows["images"].split()[1:] == ["14", "4", "5"]
    assert "2 images (train 1, test 1) without objects" in err
    assert "1 object (train 1) marked as difficult or as a crowd" in err
    code, out, _ = nas("data", data, "--json")
    found = json.loads(out)
    assert found["objects"] == {"train": [8, 6], "val": [2, 2], "test": [2, 2]}
    assert found["counts"] == {"train": [7, 6], "val": [2, 2], "test": [2, 2]}
    assert found["images_without"] == {"train": 1, "val": 0, "test": 1}
    assert found["ignored_objects"] == {"train": 1, "val": 0, "test": 0}
    # Dogs are 32 x 42 pixels of 80 x 60 each.
    assert found["share_of_image"][1]["median"] == pytest.approx(32 * 42 / 4800)


def test_masks_are_counted_by_class_and_split(nas, tmp_path):
    data = masks(tmp_path / "data")
    mask = np.zeros((60, 80), np.uint8)
    mask[:30] = 255
    photo(data / "train" / "images" / "90.png", np.random.default_rng(9))
    Image.fromarray(mask).save(data / "train" / "masks" / "90.png")
    code, out, err = nas("data", data, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["counts"] == {"train": [13, 12], "val": [4, 4], "test": [4, 4]}
    assert found["ignored_pixels"]["train"] == pytest.approx(0.5 / 13)
    assert found["share_of_pixels"]["val"] == pytest.approx([1 - 2.5 / 8, 2.5 / 8])
    code, out, err = nas("data", data)
    assert "4, 31.2%" in out
    assert "pixels that are ignored: train 3.8%" in err


@pytest.mark.parametrize("make", [boxes, masks])
def test_copies_and_unreadable_images_are_found(nas, tmp_path, make):
    data = make(tmp_path / "data")
    for path in list((data / "train").rglob("0.*")):
        shutil.copy(path, data / "test" / path.relative_to(data / "train").with_stem("copied"))
    code, _, err = nas("data", data)
    assert code == 0, err
    assert "1 image in several splits, so that accuracy on val or test looks too high" in err


@pytest.mark.parametrize("make", [boxes, masks])
def test_the_picture_shows_what_is_annotated(nas, tmp_path, make):
    data, sheet = make(tmp_path / "data"), tmp_path / "sheet.png"
    if make is boxes:
        annotated(data / "train", 91)  # without objects: a row of its own
    code, _, err = nas("data", data, "--picture", sheet, "--resolution", 48)
    assert code == 0, err
    with Image.open(sheet) as image:
        rows = 3 if make is boxes else 2
        assert image.size == (150 + 9 * 52, rows * 52 + 4)
        if make is boxes:
            colors = np.array(image)[:, 150:].reshape(-1, 3)
            for drawn in ((128, 0, 0), (0, 128, 0)):
                assert (colors == drawn).all(axis=1).sum() > 100


def test_wrong_labels_are_found_in_class_folders_only(nas, tmp_path):
    code, _, err = nas("data", boxes(tmp_path / "data"), "--network", "seed.pt")
    assert code == 2
    assert "looks for wrong classes of whole images, got the task" in " ".join(err.split())
