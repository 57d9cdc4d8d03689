"""Which folders are classes and which are splits; what is left out is said; names in any form."""

import io
import logging
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from nas.data.image_files.names import class_name, printable
from nas.data.load import load_dataset
from search_spaces.errors import InputError
from tests.nas.image_sets import random_image

MakeFolder = Callable[[dict[str, int]], Path]
NFC, NFD = "caf\xe9", "cafe\u0301"


def load(root: Path, **options: object) -> object:
    return load_dataset(str(root), resolution_px=8, **options)


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(InputError) as error:
        load(root, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


VIEWS = {
    "bus/front": 4,
    "bus/side": 4,
    "car/front": 4,
    "car/side": 4,
    "train/front": 4,
    "train/side": 4,
}


def test_a_class_called_train_is_asked_about(make_folder: MakeFolder) -> None:
    root = make_folder(VIEWS)
    message = refusal(root)
    assert "train/ next to bus/, car/" in message
    assert "--layout flat" in message
    assert "--layout split" in message
    assert load(root, layout="flat").classes == ("bus", "car", "train")
    assert load(root, layout="split").classes == ("front", "side")


@pytest.mark.parametrize("name", ["train", "Train", "TRAIN", "training"])
def test_a_class_called_train_that_holds_images_itself_is_a_class(
    make_folder: MakeFolder, name: str
) -> None:
    root = make_folder({"bus": 4, "car": 4, name: 4})
    assert load(root).classes == tuple(sorted(("bus", "car", name)))


@pytest.mark.parametrize("name", ["test", "val", "validation", "Valid"])
def test_classes_called_as_a_held_out_split_are_asked_about(
    make_folder: MakeFolder, name: str
) -> None:
    root = make_folder({"good": 4, "bad": 4, name: 4})
    assert "--layout flat" in refusal(root)
    assert len(load(root, layout="flat").classes) == 3


def test_classes_with_no_other_names_than_splits(make_folder: MakeFolder) -> None:
    root = make_folder({"test": 4, "validation": 4})
    assert "no train/" in refusal(root)
    assert load(root, layout="flat").classes == ("test", "validation")


def test_a_class_called_train_beside_a_test_folder(make_folder: MakeFolder) -> None:
    root = make_folder({"bus": 4, "train": 4, "test/bus": 2, "test/train": 2})
    assert "--layout" in refusal(root)


def test_one_more_folder_beside_the_splits_is_not_read_and_said(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(
        {"train/a": 3, "train/b": 3, "val/a": 1, "test/b": 1, "sketches": 2, "doc": 0}
    )
    assert load(root).classes == ("a", "b")
    assert "sketches/ next to train/ are not read" in caplog.text


def test_one_more_folder_with_the_same_classes_is_asked_about(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 3, "train/b": 3, "val/a": 1, "extra/a": 1})
    assert "extra/" in refusal(root)
    assert len(load(root, layout="split").train) == 4


def test_images_directly_in_train(make_folder: MakeFolder) -> None:
    root = make_folder({"train": 5, "val": 3})
    assert "5 images lie directly in it: put each into its class" in refusal(root)


def test_images_outside_of_every_class_folder_are_counted(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"a": 4, "b": 4})
    random_image(0).save(root / "stray.png")
    load(root)
    assert "1 images that lie directly in" in caplog.text


def test_classes_that_are_divided_one_by_one(make_folder: MakeFolder) -> None:
    root = make_folder({"a/train": 4, "a/test": 2, "b/train": 4, "b/test": 2})
    assert "put these above the class folders" in refusal(root)
    assert load(root, layout="flat").classes == ("a", "b")


@pytest.mark.parametrize("layout", ["nested", ""])
def test_an_unknown_layout(make_folder: MakeFolder, layout: str) -> None:
    assert "layout must be one of auto, flat, split" in refusal(
        make_folder({"a": 4, "b": 4}), layout=layout
    )


def test_split_layout_without_splits(make_folder: MakeFolder) -> None:
    assert "has no train/" in refusal(make_folder({"a": 4, "b": 4}), layout="split")


def save_as(path: Path, kind: str) -> None:
    stream = io.BytesIO()
    random_image(hash(path.name) % 1000).save(stream, kind)
    path.write_bytes(stream.getvalue())


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".jfif", "JPEG"), (".jpe", "JPEG"), (".JPG", "JPEG"), (".avif", "AVIF"), (".jp2", "JPEG2000"),
        (".tga", "TGA"), (".dib", "BMP"), (".apng", "PNG"), (".png", "JPEG"), ("", "JPEG"), ("", "TIFF"),
        (".heic", "JPEG"), (".webp", "PNG"),
    ],
)  # fmt: skip
def test_all_that_pillow_opens_is_taken(tmp_path: Path, suffix: str, kind: str) -> None:
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(4):
            save_as(tmp_path / "data" / label / f"{number}{suffix}", kind)
    data = load(tmp_path / "data")
    assert len(data.train) + len(data.val) + len(data.test) == 8


def test_what_is_left_out_is_counted_by_suffix(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"a": 4, "b": 4})
    for name in (
        "1.heic",
        "2.HEIC",
        "a.pdf",
        "b.txt",
        "c.txt",
        "d.mp4",
        "README",
        ".hidden",
        "Thumbs.db",
    ):
        (root / "a" / name).write_bytes(b"nothing that can be read")
    with caplog.at_level(logging.WARNING):
        load(root)
    assert "left out of data: 2 .heic (Pillow cannot open them here" in caplog.text
    assert "2 .txt, 1 without suffix, 1 .mp4, 1 .pdf" in caplog.text


def test_a_folder_of_nothing_but_unknown_suffixes_says_which(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 0, "b": 0})
    for number in range(3):
        (root / "a" / f"{number}.heic").write_bytes(b"x")
        (root / "b" / f"{number}.pdf").write_bytes(b"x")
    message = refusal(root)
    assert "3 .heic (Pillow cannot open them here: pip install pillow-heif" in message
    assert "3 .pdf" in message


def test_one_class_in_two_unicode_forms(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({f"train/{NFC}": 3, "train/tea": 3, f"val/{NFD}": 2, "test/tea": 1})
    data = load(root)
    assert data.classes == (NFC, "tea")
    assert data.val.labels.tolist() == [0, 0]
    assert caplog.text.count("two Unicode forms") == 1


def test_two_folders_of_one_split_that_are_one_class(make_folder: MakeFolder) -> None:
    root = make_folder({NFC: 3, NFD: 3, "tea": 3})
    message = refusal(root)
    assert r"'cafe\u0301' and 'caf\xe9'" in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"caf\xe9", NFC),  # Latin-1
        (NFD.encode(), NFC),
        (b"a\nb", "a\\nb"),
        (b"a\x1b[31mb", "a\\x1b[31mb"),
        ("\U0001f431\u200d\U0001f464".encode(), "\U0001f431\u200d\U0001f464"),
        ("\u05d0\u05d1".encode(), "\u05d0\u05d1"),
        ("a\u202eb".encode(), "a\\u202eb"),
        (b"x" * 255, "x" * 255),
        (b"[bold]", "[bold]"),
    ],
)
def test_class_names_are_text_that_every_file_takes(
    tmp_path: Path, name: bytes, expected: str
) -> None:
    for folder in (os.fsdecode(name), "other"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(4):
            random_image(number).save(tmp_path / "data" / folder / f"{number}.png")
    data = load(tmp_path / "data")
    assert expected in data.classes
    for text in data.classes:
        text.encode()
        assert unicodedata.is_normalized("NFC", text)


def test_a_data_folder_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"caf\xe9-d\xc3\xa9p\xf4t")
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for number in range(4):
            random_image(number).save(root / label / f"{number}.png")
    data = load(root)
    data.name.encode()
    assert data.name.startswith("caf\xe9")
    (root / "a" / "bad.png").write_bytes(b"no")
    refusal(root).encode()


@pytest.mark.parametrize(
    "name", ["\udc80\ud800", "a" * 300, "~nobody-is-called-so/photos", "a\0b/c"]
)
def test_a_source_that_no_file_system_has(name: str) -> None:
    with pytest.raises(InputError) as error:
        load_dataset(name if "/" in name else "./" + name)
    assert "\n" not in str(error.value)
    str(error.value).encode()


def test_names_as_people_read_them() -> None:
    assert printable("/data/\udce9t\udce9/caf\xe9") == "/data/\xe9t\xe9/caf\xe9"
    assert class_name(NFD) == NFC


def test_suffixes_do_not_need_an_open_image(make_folder: MakeFolder) -> None:
    """Only names decide, but where there is no telling suffix."""
    root = make_folder({"a": 4, "b": 4})
    before = Image.MAX_IMAGE_PIXELS
    assert load(root).classes == ("a", "b")
    assert before == Image.MAX_IMAGE_PIXELS


UNKNOWN: dict[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "labelme without masks": ({"JPEGImages": 4, "SegmentationClassVisualization": 4}, ()),
    "masks beside photos of another name": ({"img_dir": 4, "masks": 4}, ()),
    "in splits": ({"train/img_dir": 4, "train/labels": 4, "val/img_dir": 4}, ()),
    "YOLO without YAML": ({"images/train": 4, "images/val": 4}, ("labels/train/000.txt",)),
    "a JSON": ({"images": 4}, ("boxes.json",)),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_folders_of_annotated_data_sets_are_no_classes(make_folder: MakeFolder, name: str) -> None:
    counts, others = UNKNOWN[name]
    root = make_folder(counts)
    for other in others:
        (root / other).parent.mkdir(parents=True, exist_ok=True)
        (root / other).touch()
    assert re.search(r"holds no classes but .* not known; boxes are read from", refusal(root))
    for task in ("detect", "segment"):
        message = refusal(root, task=task)
        assert f"is in no layout that is known for {task}; boxes are read from" in message


def test_such_a_folder_beside_classes_is_a_class(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 4, "images": 4, "labels": 4, "dog": 4})
    (root / "images").rename(root / "masks")
    assert load(root).classes == ("cat", "dog", "labels", "masks")
    both = make_folder({"both/images": 4, "both/annotations": 4}) / "both"
    assert load(both, layout="flat").classes == ("annotations", "images")


@pytest.mark.parametrize("task", [None, "detect"])
def test_cvat_s_own_format_is_refused_by_name(make_folder: MakeFolder, task: str | None) -> None:
    root = make_folder({"images": 4})
    (root / "annotations.xml").write_text(
        "<?xml version='1.0'?>\n<annotations><image/></annotations>"
    )
    message = refusal(root, task=task)
    assert (
        "annotations.xml is CVAT's own format, which is not read: export boxes as COCO" in message
    )
