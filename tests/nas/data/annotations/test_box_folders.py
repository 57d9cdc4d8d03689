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
from nas.data.folders.contents import Contents, changes
from nas.data.image_files import stored_size
from nas.data.image_files.opening import UnusableError
from nas.data.image_files.preparation import Preparation
from nas.data.image_files.square import square_rgb
from nas.data.image_files.unreadable import UnreadableError
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
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (root / "Annotations").mkdir()
    for split in ("train", "test"):
        for name, objects in SCENES.items():
            photo(root / "JPEGImages" / f"{name} {split}.jpg")
            (root / "Annotations" / f"{name} {split}.xml").write_text(xml(objects))
        names = "".join(f"{name} {split}\n" for name in SCENES)
        (lists / f"{split}.txt").write_text(names, encoding="utf-8-sig")


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
        assert [path.stem[0] for path in part.paths] == ["a", "b", "c"]
        assert part.sizes.tolist() == [list(SIZE)] * 3
        a, b, c = part.objects
        np.testing.assert_allclose(
            a, [[1, 0.1, 0.1, 0.5, 0.5, 0], [0, 0.5, 0.5, 1, 1, 0]], atol=1e-6
        )
        assert b.shape == (0, 6)
        np.testing.assert_allclose(c, [[0, 0, 0, 0.2, 0.2, 0]], atol=1e-6)
    assert folder.splits["train"].strata.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("write", "inside"),
    [
        (voc, "train/JPEGImages"),
        (voc_lists, "Annotations"),
        (coco, "train2017"),
        (yolo, "images/train"),
    ],
)
def test_a_folder_that_cannot_be_read_is_told(tmp_path, close_folder, write, inside):
    write(tmp_path / "data")
    close_folder(tmp_path / "data" / inside)
    with pytest.raises(InputError, match=f"{inside}: Permission denied: give .* that can be"):
        load_dataset(str(tmp_path / "data"), resolution_px=8)


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


def moved(root: Path, names: dict[str, str]) -> None:
    for before, after in names.items():
        (root / after).parent.mkdir(parents=True, exist_ok=True)
        (root / before).rename(root / after)


def stems(root: Path) -> dict[str, list[str]]:
    folder = read_box_folder(root, max_megapixels=1)
    return {split: [path.stem for path in part.paths] for split, part in folder.splits.items()}


@pytest.mark.parametrize(
    "name", ["annotations/instances_default.json", "result.json", "annotations/boxes.json"]
)
def test_a_single_coco_file_is_that_of_train(tmp_path, name):
    """As CVAT and Label Studio write it, the latter with paths of its own."""
    for one in SCENES:
        photo(tmp_path / "images" / f"{one}.jpg")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    document = coco_document("../../label-studio/media/upload/1/" if name == "result.json" else "")
    (tmp_path / name).write_text(json.dumps(document))
    assert format_of(tmp_path) == "COCO"
    assert stems(tmp_path) == {"train": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("instances_trainval.json", "instances_test.json"), {"train", "test"}),
        (("pascal_trainval0712.json", "latest.json", "test.json"), {"train", "test"}),
        (("train.json", "trainval.json", "val.json"), {"train", "val"}),
        (("instances_train2017.json", "image_info_test2017.json"), {"train"}),
    ],
)
def test_coco_files_belong_to_the_split_that_their_words_name(tmp_path, names, splits):
    (tmp_path / "annotations").mkdir()
    for number, name in enumerate(names):
        document = coco_document(f"{number}")
        for image in document["images"]:
            photo(tmp_path / "pictures" / image["file_name"])
        (tmp_path / "annotations" / name).write_text(json.dumps(document))
    assert {*stems(tmp_path)} == splits


def test_of_images_of_the_same_name_that_of_the_split_is_meant(tmp_path):
    for split in ("train", "val"):
        for name in SCENES:
            photo(tmp_path / split / f"{name}.jpg")
        (tmp_path / f"{split}.json").write_text(json.dumps(coco_document()))
    folder = read_box_folder(tmp_path, max_megapixels=1)
    for split, part in folder.splits.items():
        assert {path.parent.name for path in part.paths} == {split}
    moved(tmp_path, {"train": "one", "val": "two"})
    with pytest.raises(InputError, match=r"image a.jpg is in .*/one and .*/two: state the folder"):
        read_box_folder(tmp_path, max_megapixels=1)


def test_categories_of_coco_that_only_group_others_or_have_the_same_name(tmp_path):
    coco_beside_images(tmp_path)
    for split in ("train", "test"):
        document = coco_document()
        document["categories"] = [
            {"id": 0, "name": "pets", "supercategory": "none"},
            {"id": 1, "name": "dog", "supercategory": "pets"},
            {"id": 3, "name": "cat", "supercategory": "pets"},
            {"id": 17, "name": "dog", "supercategory": "dog"},
        ]
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(document))
    assert read_box_folder(tmp_path, max_megapixels=1).classes == ("dog", "cat")


def test_boxes_of_coco_without_area_are_left_out_and_counted(tmp_path):
    coco(tmp_path)
    document = coco_document()
    for width in (0.0, 1e-8):
        document["annotations"][0]["bbox"][2] = width
        (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(document))
        folder = read_box_folder(tmp_path, max_megapixels=1)
        assert [len(rows) for rows in folder.splits["train"].objects] == [1, 0, 1]
    assert "1 boxes without area are left out" in folder.notes


def rewritten(root: Path, document: dict, **options: str) -> dict[str, list[int]]:
    """Return the number of each training image's objects, with another JSON."""
    file = root / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(document), **options)
    part = read_box_folder(root, max_megapixels=1).splits["train"]
    return {path.stem: len(rows) for path, rows in zip(part.paths, part.objects, strict=True)}


@pytest.mark.parametrize("convert", [str, float, "image {}".format])
def test_ids_of_coco_as_text(tmp_path, convert):
    coco(tmp_path)
    document = coco_document()
    ids = [(one, "id") for one in document["images"]]
    ids += [(one, "image_id") for one in document["annotations"][:2]]
    if convert in (str, float):  # in some places only, and in all if it is not a number
        ids = [(one, "category_id") for one in document["annotations"]] + ids[:2]
    else:
        ids += [(one, "image_id") for one in document["annotations"][2:]]
    for one, key in ids:
        one[key] = convert(one[key])
    assert rewritten(tmp_path, document, encoding="utf-8-sig") == {"a": 2, "b": 0, "c": 1}
    document["categories"][0]["id"] = "dog"
    with pytest.raises(InputError, match="each of its categories needs a whole id and a name"):
        rewritten(tmp_path, document)


def test_a_file_that_coco_lists_twice_is_one_image(tmp_path):
    coco(tmp_path)
    document = coco_document()
    again = document["images"][0] | {"id": 9}
    document["images"].append(again)
    moved_box, copy = document["annotations"][0], dict(document["annotations"][1])
    moved_box["image_id"] = copy["image_id"] = 9
    document["annotations"].append(copy)
    assert rewritten(tmp_path, document) == {"a": 2, "b": 0, "c": 1}
    again["file_name"] = "other/a.jpg"  # perhaps another image, which is not there
    with pytest.raises(AnnotationError, match=r"other/a.jpg: has the same image as .*: a.jpg, a.j"):
        rewritten(tmp_path, document)
    again |= {"file_name": "a.jpg", "id": 1}
    moved_box["image_id"] = copy["image_id"] = 0
    with pytest.raises(AnnotationError, match="2 images have the id 1"):
        rewritten(tmp_path, document)


def test_a_list_of_all_of_vocs_training_images(tmp_path):
    voc_lists(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    (lists / "train.txt").rename(lists / "trainval.txt")
    assert {*stems(tmp_path)} == {"train", "test"}
    (lists / "trainval.txt").rename(lists / "everything.txt")
    with pytest.raises(InputError, match=r"has no train.txt: write the names"):
        read_box_folder(tmp_path, max_megapixels=1)
    (lists / "train.txt").write_text("a train\n", encoding="utf-16")
    with pytest.raises(InputError, match=r"train.txt is not UTF-8 text: save it as UTF-8"):
        read_box_folder(tmp_path, max_megapixels=1)


def test_yolo_splits_that_exporters_name_in_vain(tmp_path):
    yolo(tmp_path)
    file = tmp_path / "data.yaml"
    file.write_text("train: /content/pets/images/train\ntest: ../test/images\nnames: [cat, dog]\n")
    folder = read_box_folder(tmp_path, max_megapixels=1)
    assert {*folder.splits} == {"train"}
    assert any(
        "../test/images, which does not exist: correct the path" in one for one in folder.notes
    )
    file.write_text("train: images/train\nval: images/train\nnames: [cat, dog]\n")
    folder = read_box_folder(tmp_path, max_megapixels=1)
    assert {*folder.splits} == {"train"}
    assert "val has the images of train and is taken as not given" in folder.notes
    file.write_text("train: images/train\ntest: [images/test, images/train]\nnames: [cat, dog]\n")
    with pytest.raises(AnnotationError, match=r"a.jpg: is in train and in test"):
        read_box_folder(tmp_path, max_megapixels=1)
    file.write_text("train: images/train\nnames: [dog, dog]\n")
    with pytest.raises(InputError, match="names lists dog twice"):
        read_box_folder(tmp_path, max_megapixels=1)


def test_a_split_without_objects_is_held_out_as_a_missing_one(tmp_path):
    """YOLO's without texts, and COCO's without annotations."""
    yolo(tmp_path / "yolo")
    for text in (tmp_path / "yolo/labels/test").iterdir():
        text.unlink()
    coco(tmp_path / "coco")
    document = coco_document() | {"annotations": []}
    (tmp_path / "coco/annotations/instances_test2017.json").write_text(json.dumps(document))
    for name in ("yolo", "coco"):
        folder = read_box_folder(tmp_path / name, max_megapixels=1)
        assert {*folder.splits} == {"train"}
        assert folder.notes[-1] == "test has no objects and is taken as not given"
        assert not folder.notes[:-1] or folder.notes[0].startswith("1 images have no text file")


@pytest.mark.parametrize("photos", [0, 2])
def test_a_split_folder_of_voc_without_xml_is_held_out(tmp_path, photos):
    voc(tmp_path)
    (tmp_path / "val").mkdir()
    for number in range(photos):
        photo(tmp_path / "val" / f"{number}.jpg")
    folder = read_box_folder(tmp_path, max_megapixels=1)
    assert {*folder.splits} == {"train", "test"}
    assert folder.notes == (f"{tmp_path}/val is not read: none of its images has an annotation",)


def test_of_vocs_images_only_those_in_lists_matter(tmp_path):
    voc_lists(tmp_path)
    photo(tmp_path / "JPEGImages" / "other.jpg")
    photo(tmp_path / "JPEGImages" / "other.png")
    photo(tmp_path / "JPEGImages" / "alone.jpg")
    for name in ("other", "lost"):
        (tmp_path / "Annotations" / f"{name}.xml").write_text("<annotation><object>")
    for name in SCENES:
        (tmp_path / "Annotations" / f"{name} test.xml").unlink()
    folder = read_box_folder(tmp_path, max_megapixels=1)
    assert {split: len(part) for split, part in folder.splits.items()} == {"train": 3}
    tests = tmp_path / "ImageSets" / "Main" / "test.txt"
    assert folder.notes == (f"{tests} is not read: none of its images has an annotation",)
    (tmp_path / "Annotations" / "a test.xml").write_text(xml(SCENES["a"]))
    with pytest.raises(AnnotationError) as caught:
        read_box_folder(tmp_path, max_megapixels=1)
    said = {(one.where, one.what) for one in caught.value.found}
    assert said == {(str(tests), f"{name} test has no image with annotation") for name in "bc"}


def test_yolo_texts_that_are_not_found_are_told_with_the_first_place(tmp_path):
    yolo(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "texts")
    said = rf"data.yaml: none of the 3 training images has a text.* {tmp_path}/labels/train/a.txt"
    with pytest.raises(InputError, match=said):
        read_box_folder(tmp_path, max_megapixels=1)


@pytest.mark.parametrize("train", ["images", "pictures"])
def test_yolo_texts_beside_images_below_folders_called_images(tmp_path, train):
    root = tmp_path / "images" / "pets"
    yolo(root)
    for name in ("a", "c"):
        moved(root, {f"labels/train/{name}.txt": f"images/train/{name}.txt"})
    (root / "images").rename(root / train)
    (root / "data.yaml").write_text(f"train: {train}/train\nnames: [cat, dog]\n")
    rows = read_box_folder(root, max_megapixels=1).splits["train"].objects
    assert [len(one) for one in rows] == [2, 0, 1]


def test_yolo_paths_of_windows(tmp_path):
    yolo(tmp_path)
    file, names = tmp_path / "data.yaml", "names: [cat, dog]\n"
    for train in (r"images\train", r"D:\work\pets\images\train", r"..\images\train", "train.txt"):
        (tmp_path / "train.txt").write_text(
            "D:\\pets\\images\\train\\a.jpg\nimages\\train\\b.jpg\n"
        )
        file.write_text(f"train: {train}\n{names}")
        assert stems(tmp_path)["train"][:2] == ["a", "b"]


def test_yolo_poses_are_their_boxes(tmp_path):
    yolo(tmp_path)
    text = tmp_path / "labels" / "train" / "a.txt"
    text.write_text("1 0.5 0.5 0.2 0.4 0.1 0.1 2 0.9 0.9 0\n")
    with (tmp_path / "data.yaml").open("a") as file:
        file.write("kpt_shape: [2, 3]\n")
    rows = read_box_folder(tmp_path, max_megapixels=1).splits["train"].objects[0]
    np.testing.assert_allclose(rows, [[1, 0.4, 0.3, 0.6, 0.7, 0]], atol=1e-6)
    text.write_text("1 0.5 0.5 0.2 0.4 0.1 0.1\n")
    with pytest.raises(AnnotationError, match="expected 5 numbers and 6 of keypoints, got 7"):
        read_box_folder(tmp_path, max_megapixels=1)


def test_label_studios_yolo(tmp_path):
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    folder = read_box_folder(tmp_path, max_megapixels=1)
    assert (format_of(tmp_path), folder.classes) == ("YOLO", ("cat", "dog"))
    assert len(folder.splits["train"]) == 6


def test_a_yolo_yaml_of_any_name(tmp_path):
    yolo(tmp_path)
    (tmp_path / "data.yaml").rename(tmp_path / "pets.yml")
    (tmp_path / "notes.yaml").write_text("names: those who helped\n")
    assert (format_of(tmp_path), {*stems(tmp_path)}) == ("YOLO", {"train", "test"})
    (tmp_path / "more.yaml").write_text("names: [a]\ntrain: images\n")
    assert format_of(tmp_path) is None


def test_what_is_not_recognized_says_what_boxes_need(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.xml").write_text("<map/>")
    with pytest.raises(
        InputError, match=r"holds no classes but images/.*; boxes are read from Pascal VOC's"
    ):
        load_dataset(str(tmp_path))


def test_class_folders_with_boxes_can_be_classified(tmp_path):
    for name in ("cat", "dog"):
        for number in range(4):
            photo(tmp_path / name / f"{number}.jpg")
            (tmp_path / name / f"{number}.xml").write_text(xml([(name, (0, 0, 9, 9))]))
    assert task_of_source(str(tmp_path)) == "detect"
    data = load_dataset(str(tmp_path), resolution_px=32, task="classify")
    assert (data.task, data.classes) == ("classify", ("cat", "dog"))


def test_corrected_boxes_are_a_change_of_the_data(tmp_path):
    voc(tmp_path)
    before = read_box_folder(tmp_path, max_megapixels=1).splits
    annotation = tmp_path / "train" / "Annotations" / "a.xml"
    annotation.write_text(annotation.read_text().replace("<xmin>8<", "<xmin>9<"))
    now = read_box_folder(tmp_path, max_megapixels=1).splits
    assert changes(Contents.of(before, ()), Contents.of(now, ())) == [
        "1 image was changed in train (train)"
    ]


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
    "box (8, 7)-(8, 30) has no area inside the image": (8, 7, 8 + 1e-8, 30),
}


def test_all_problems_are_told_at_once_by_file(tmp_path):
    for number, box in enumerate(BAD_BOXES.values()):
        photo(tmp_path / "train" / f"{number}.jpg")
        (tmp_path / "train" / f"{number}.xml").write_text(xml([("cat", box)]))
    photo(tmp_path / "train" / "alone.jpg")
    (tmp_path / "train" / "lost.xml").write_text(xml([]))
    photo(tmp_path / "train" / "odd.jpg")
    (tmp_path / "train" / "odd.xml").write_text("<annotation><object>")
    photo(tmp_path / "train" / "unknown.jpg")
    (tmp_path / "train" / "unknown.xml").write_text(
        "<?xml version='1.0' encoding='unicode'?><annotation/>"
    )
    photo(tmp_path / "train" / "other.jpg")
    (tmp_path / "train" / "other.xml").write_text(xml([], size=(7, 7)))
    with pytest.raises(AnnotationError) as caught:
        read_box_folder(tmp_path, max_megapixels=1)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("11 problems in the annotations of ")
    for number, words in enumerate(BAD_BOXES):
        assert words in text
        assert any(one.where.endswith(f"{number}.xml") for one in caught.value.found)
    assert "alone.jpg: there is no annotation of this name" in text
    assert "lost.xml: there is no image of this name" in text
    assert "odd.xml: not XML" in text
    assert "unknown.xml: not XML: unknown encoding: unicode" in text
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


def scenes(root: Path, objects: list[str]) -> Path:
    """Write training images a, b, ... that have these objects, one letter a class."""
    for number, names in enumerate(objects):
        photo(root / "train" / f"{number}.jpg")
        file = root / "train" / f"{number}.xml"
        file.write_text(xml([(name, (0, 0, 9, 9)) for name in names]))
    return root / "train"


def test_images_that_cannot_be_read_are_told_as_such_or_left_out(tmp_path):
    """Also the only image without objects, whose stratum is no class."""
    train = scenes(tmp_path, [""] + ["c", "d"] * 6)
    for number in (0, 1):
        (train / f"{number}.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(
        UnreadableError, match=r"2 images cannot be read.*--skip-bad-images: .*0.jpg"
    ):
        load_dataset(str(tmp_path), resolution_px=32)
    data = load_dataset(str(tmp_path), resolution_px=32, skip_bad_images=True)
    assert len(data.left_out) == 2
    assert sum(map(len, (data.train, data.val, data.test))) == 11


def test_a_class_is_lost_if_no_image_with_it_can_be_read(tmp_path):
    """`d` is the rarest class in image 0 only: the others that have it have `e` too."""
    train = scenes(tmp_path, ["d", "de", "de", *["c"] * 9, "f"])
    (train / "0.jpg").write_bytes(b"")
    data = load_dataset(str(tmp_path), resolution_px=32, skip_bad_images=True)
    assert data.classes == ("c", "d", "e", "f")
    (train / "12.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"train of .*: no image of class 'f' can be read, for in"):
        load_dataset(str(tmp_path), resolution_px=32, skip_bad_images=True)


def test_a_photo_with_damaged_metadata_keeps_its_boxes(tmp_path, monkeypatch):
    """It is opened once more without metadata, as it is for its pixels."""
    scenes(tmp_path, ["c"])

    def refuse(path, *, max_megapixels):
        raise UnusableError("damaged metadata")

    monkeypatch.setattr(stored_size, "open_file", refuse)
    part = read_box_folder(tmp_path, max_megapixels=1).splits["train"]
    np.testing.assert_allclose(part.objects[0], [[0, 0, 0, 9 / 80, 9 / 60, 0]], atol=1e-6)
