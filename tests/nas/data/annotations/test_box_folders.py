"""Boxes from Pascal VOC's XML, COCO's JSON and YOLO's text: the same objects, and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.annotations.folder import format_of, read_box_folder
from nas.data.annotations.problems import AnnotationError
from nas.data.finding import task_of_source
from nas.data.image_files.preparation import Preparation
from nas.data.image_files.square import square_rgb
from nas.data.load import load_dataset
from search_spaces import InputError

SIZE = (80, 60)
TURNED = 6
"""EXIF: shown after a quarter turn clockwise."""

Objects = list[tuple[str, tuple[float, float, float, float]]]
SCENES: dict[str, Objects] = {
    "a": [("dog", (8, 6, 40, 30)), ("cat", (40, 30, 80, 60))],
    "b": [],
    "c": [("cat", (0, 0, 16, 12))],
}


def photo(path: Path, *, size: tuple[int, int] = SIZE, orientation: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, "teal")
    exif = image.getexif()
    if orientation is not None:
        exif[274] = orientation
    image.save(path, exif=exif)


def xml(objects: Objects, *, size: tuple[int, int] | None = SIZE, difficult: int = 0) -> str:
    sides = (
        "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    )
    boxes = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{x1}</xmin>"
        f"<ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, (x1, y1, x2, y2) in objects
    )
    return f"<annotation>{sides}{boxes}</annotation>"


def voc(root: Path) -> None:
    for split in ("train", "test"):
        for name, objects in SCENES.items():
            photo(root / split / "JPEGImages" / f"{name}.jpg")
            file = root / split / "Annotations" / f"{name}.xml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(xml(objects))


def voc_lists(root: Path) -> None:
    for name, objects in SCENES.items():
        photo(root / "JPEGImages" / f"{name}.jpg")
        file = root / "Annotations" / f"{name}.xml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(xml(objects))
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split in ("train", "test"):
        (lists / f"{split}.txt").write_text("a\nb\nc\n")


def coco_document(prefix: str = "") -> dict:
    annotations = [
        {
            "id": 10 * index + number,
            "image_id": index,
            "category_id": {"cat": 3, "dog": 17}[name],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
        }
        for index, objects in enumerate(SCENES.values())
        for number, (name, (x1, y1, x2, y2)) in enumerate(objects)
    ]
    images = [
        {"id": index, "file_name": f"{prefix}{name}.jpg", "width": SIZE[0], "height": SIZE[1]}
        for index, name in enumerate(SCENES)
    ]
    categories = [{"id": 17, "name": "dog"}, {"id": 3, "name": "cat"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "test"):
        for name in SCENES:
            photo(root / f"{split}2017" / f"{name}.jpg")
        file = root / "annotations" / f"instances_{split}2017.json"
        file.write_text(json.dumps(coco_document()))


def coco_beside_images(root: Path) -> None:
    for split in ("train", "test"):
        for name in SCENES:
            photo(root / split / f"{name}.jpg")
        (root / split / "_annotations.coco.json").write_text(json.dumps(coco_document()))


def yolo(root: Path) -> None:
    for split in ("train", "test"):
        for name, objects in SCENES.items():
            photo(root / "images" / split / f"{name}.jpg")
            lines = [
                f"{('cat', 'dog').index(kind)} {(x1 + x2) / 160} {(y1 + y2) / 120} "
                f"{(x2 - x1) / 80} {(y2 - y1) / 60}"
                for kind, (x1, y1, x2, y2) in objects
            ]
            file = root / "labels" / split / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            if lines:
                file.write_text("\n".join(lines) + "\n")
    names = "names: {0: cat, 1: dog}\n"
    (root / "data.yaml").write_text(f"path: .\ntrain: images/train\ntest: images/test\n{names}")


WRITERS = {"VOC": [voc, voc_lists], "COCO": [coco, coco_beside_images], "YOLO": [yolo]}


@pytest.mark.parametrize(
    ("name", "write"), [(name, write) for name, writers in WRITERS.items() for write in writers]
)
def test_every_format_gives_the_same_objects(tmp_path, name, write):
    write(tmp_path)
    assert format_of(tmp_path) == name
    assert task_of_source(str(tmp_path)) == "detect"
    folder = read_box_folder(tmp_path, max_megapixels=1)
    assert folder.classes == ("cat", "dog")
    assert set(folder.splits) == {"train", "test"}
    for part in folder.splits.values():
        assert [path.stem for path in part.paths] == ["a", "b", "c"]
        assert part.sizes.tolist() == [list(SIZE)] * 3
        a, b, c = part.objects
        np.testing.assert_allclose(
            a, [[1, 0.1, 0.1, 0.5, 0.5, 0], [0, 0.5, 0.5, 1, 1, 0]], atol=1e-6
        )
        assert b.shape == (0, 6)
        np.testing.assert_allclose(c, [[0, 0, 0, 0.2, 0.2, 0]], atol=1e-6)
    assert folder.splits["train"].strata.tolist() == [1, 2, 0]


def test_a_data_set_holds_padded_targets(tmp_path):
    voc(tmp_path)
    for number in range(9):
        photo(tmp_path / "train" / "JPEGImages" / f"{number}.jpg")
        file = tmp_path / "train" / "Annotations" / f"{number}.xml"
        file.write_text(xml(SCENES["abc"[number % 3]]))
    data = load_dataset(str(tmp_path), resolution_px=32)
    assert data.task == "detect"
    assert data.preparation.fit == "stretch"
    images, targets = next(data.test.batches(8))
    assert images.shape == (3, 3, 32, 32)
    assert targets.shape == (3, 2, 6)
    assert targets[:, :, 0].tolist() == [[1, 0], [-1, -1], [0, -1]]
    assert len(data.train) + len(data.val) == 12  # val is held out of train


@pytest.mark.parametrize("stated", ["upright", "stored", None])
def test_a_photo_that_exif_turns(tmp_path, stated):
    """Stored 60 wide and 80 high, seen 80 wide and 60 high; a box in its upper left corner as seen."""
    photo(tmp_path / "train" / "a.jpg", size=(60, 80), orientation=TURNED)
    # As it is stored, the upper left corner of what is seen is the lower left one.
    box = (0, 60, 30, 80) if stated == "stored" else (0, 0, 20, 30)
    size = {"upright": (80, 60), "stored": (60, 80), None: None}[stated]
    (tmp_path / "train" / "a.xml").write_text(xml([("cat", box)], size=size))
    part = read_box_folder(tmp_path, max_megapixels=1).splits["train"]
    assert part.sizes.tolist() == [[80, 60]]
    np.testing.assert_allclose(part.objects[0], [[0, 0, 0, 0.25, 0.5, 0]], atol=1e-6)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_stay_on_what_is_seen(tmp_path, orientation):
    """With the orientations that exchange width and height, whose stored size tells them."""
    image = Image.new("RGB", (60, 80), "white")
    image.paste((255, 0, 0), (6, 8, 30, 24))
    exif = image.getexif()
    exif[274] = orientation
    (tmp_path / "train").mkdir()
    image.save(tmp_path / "train" / "a.png", exif=exif)
    (tmp_path / "train" / "a.xml").write_text(xml([("cat", (6, 8, 30, 24))], size=(60, 80)))
    part = read_box_folder(tmp_path, max_megapixels=1).splits["train"]
    shown = np.asarray(square_rgb(part.open(0), 120, Preparation(fit="stretch")))
    rows, columns = np.nonzero((shown[..., 0] > 200) & (shown[..., 1] < 100))
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(part.objects[0][0, 1:5], np.array(edges) / 120, atol=0.02)


def test_difficult_objects_and_crowds_are_ignored(tmp_path):
    photo(tmp_path / "v" / "train" / "a.jpg")
    (tmp_path / "v" / "train" / "a.xml").write_text(xml(SCENES["c"], difficult=1))
    assert read_box_folder(tmp_path / "v", max_megapixels=1).splits["train"].objects[0][0, 5] == 1
    coco(tmp_path / "c")
    document = coco_document()
    document["annotations"][0]["iscrowd"] = 1
    (tmp_path / "c" / "annotations" / "instances_train2017.json").write_text(json.dumps(document))
    first = read_box_folder(tmp_path / "c", max_megapixels=1).splits["train"].objects[0]
    assert first[:, 5].tolist() == [1, 0]


BAD_BOXES = {
    "corners (40, 30)-(8, 6) are swapped": (40, 30, 8, 6),
    "box (8, 6)-(8, 30) has no area": (8, 6, 8, 30),
    "box (8, 6)-(90, 30) leaves the image, which is 80 x 60": (8, 6, 90, 30),
    "box (8, -9)-(20, 30) leaves the image": (8, -9, 20, 30),
    "are not finite": (8, 6, float("nan"), 30),
}


def test_all_problems_are_told_at_once_by_file(tmp_path):
    for number, box in enumerate(BAD_BOXES.values()):
        photo(tmp_path / "train" / f"{number}.jpg")
        (tmp_path / "train" / f"{number}.xml").write_text(xml([("cat", box)]))
    photo(tmp_path / "train" / "alone.jpg")
    (tmp_path / "train" / "lost.xml").write_text(xml([]))
    photo(tmp_path / "train" / "odd.jpg")
    (tmp_path / "train" / "odd.xml").write_text("<annotation><object>")
    photo(tmp_path / "train" / "other.jpg")
    (tmp_path / "train" / "other.xml").write_text(xml([], size=(7, 7)))
    with pytest.raises(AnnotationError) as caught:
        read_box_folder(tmp_path, max_megapixels=1)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("9 problems in the annotations of ")
    for number, words in enumerate(BAD_BOXES):
        assert words in text
        assert any(one.where.endswith(f"{number}.xml") for one in caught.value.found)
    assert "alone.jpg: there is no annotation of this name" in text
    assert "lost.xml: there is no image of this name" in text
    assert "odd.xml: not XML" in text
    assert "other.xml: it states 7 x 7 pixels, other.jpg has 80 x 60" in text


def test_a_box_may_end_a_pixel_outside(tmp_path):
    photo(tmp_path / "train" / "a.jpg")
    (tmp_path / "train" / "a.xml").write_text(xml([("cat", (-1, 0, 81, 61))]))
    part = read_box_folder(tmp_path, max_megapixels=1).splits["train"]
    assert part.objects[0].tolist() == [[0, 0, 0, 1, 1, 0]]


def test_an_unknown_class_of_test_is_told(tmp_path):
    voc(tmp_path)
    (tmp_path / "test" / "Annotations" / "c.xml").write_text(xml([("cow", (0, 0, 9, 9))]))
    with pytest.raises(InputError, match=r"object 1 \(cow\): its class is not in the list"):
        read_box_folder(tmp_path, max_megapixels=1)


def test_wrong_coco_files(tmp_path):
    coco(tmp_path)
    file = tmp_path / "annotations" / "instances_train2017.json"
    document = coco_document()
    document["annotations"][0]["bbox"] = [1, 2, 3]
    document["annotations"][1]["category_id"] = 99
    document["annotations"][2]["image_id"] = 77
    document["images"].append({"id": 5, "file_name": "gone.jpg"})
    file.write_text(json.dumps(document))
    with pytest.raises(AnnotationError) as caught:
        read_box_folder(tmp_path, max_megapixels=1)
    for words in (
        "bbox must be four numbers",
        "no category 99",
        "no image 77",
        "no image gone.jpg",
    ):
        assert words in str(caught.value)
    file.write_text("{}")
    with pytest.raises(InputError, match="is not COCO's JSON: it needs the lists images"):
        read_box_folder(tmp_path, max_megapixels=1)
    file.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_box_folder(tmp_path, max_megapixels=1)


def test_wrong_yolo_files(tmp_path):
    yolo(tmp_path)
    text = tmp_path / "labels" / "train" / "a.txt"
    text.write_text("5 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1\n0 a b c d\n0 0.9 0.5 0.5 0.1\n")
    with pytest.raises(AnnotationError) as caught:
        read_box_folder(tmp_path, max_megapixels=1)
    for words in (
        "line 1: class 5 is not in 0..1",
        "line 2: expected class x y width height, got 4 numbers",
        "line 3: '0 a b c d' are not numbers",
        "leaves the image",
    ):
        assert words in str(caught.value)
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: {0: cat, 2: dog}\n")
    with pytest.raises(InputError, match="names must list the classes"):
        read_box_folder(tmp_path, max_megapixels=1)
    (tmp_path / "data.yaml").write_text("train: nowhere\nnames: [cat, dog]\n")
    with pytest.raises(InputError, match="names nowhere, which does not exist"):
        read_box_folder(tmp_path, max_megapixels=1)
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    with pytest.raises(InputError, match="names no training images"):
        read_box_folder(tmp_path, max_megapixels=1)


def test_yolo_outlines_become_boxes_and_images_without_text_have_no_objects(tmp_path):
    yolo(tmp_path)
    (tmp_path / "labels" / "train" / "c.txt").write_text("1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n")
    folder = read_box_folder(tmp_path, max_megapixels=1)
    np.testing.assert_allclose(
        folder.splits["train"].objects[2], [[1, 0.1, 0.2, 0.5, 0.6, 0]], atol=1e-6
    )
    assert "2 images have no text file" in folder.notes[0]


def test_a_folder_without_any_object_is_refused(tmp_path):
    photo(tmp_path / "train" / "a.jpg")
    (tmp_path / "train" / "a.xml").write_text(xml([]))
    with pytest.raises(InputError, match="no training image has an object"):
        read_box_folder(tmp_path, max_megapixels=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no boxes"):
        read_box_folder(tmp_path / "empty", max_megapixels=1)


def test_class_folders_with_other_files_beside_their_images_stay_class_folders(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(4):
                photo(tmp_path / split / name / f"{number}.jpg")
            (tmp_path / split / name / "about.xml").write_text("<notes>taken in May</notes>")
    (tmp_path / "train.json").write_text('{"cat": 0, "dog": 1}')
    (tmp_path / "train" / "classes.json").write_text('["cat", "dog"]')
    (tmp_path / "data.yaml").write_text("licence: MIT\n")
    assert format_of(tmp_path) is None
    assert task_of_source(str(tmp_path)) == "classify"
    assert load_dataset(str(tmp_path), resolution_px=32).classes == ("cat", "dog")
