"""Image folders: layouts, what is ignored, and every input that cannot be used."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.data.load import load_dataset
from nas.data.splits.rule import SplitRule
from nas.export.predict import find_pictures
from search_spaces.errors import InputError

MakeFolder = Callable[[dict[str, int]], Path]


def one_line(error: pytest.ExceptionInfo[InputError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def load(root: Path, **arguments: object) -> object:
    return load_dataset(str(root), resolution_px=8, **arguments)


def sizes(root: Path, **arguments: object) -> tuple[int, int, int]:
    dataset = load(root, **arguments)
    return len(dataset.train), len(dataset.val), len(dataset.test)


def test_class_folders_alone_are_split(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 10, "dog": 20})
    dataset = load(root)
    assert dataset.classes == ("cat", "dog")
    assert dataset.name == "data"
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (18, 6, 6)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
@pytest.mark.parametrize("train", ["train", "training", "Train"])
def test_split_folders_are_found_by_their_usual_names(
    make_folder: MakeFolder, train: str, val: str
) -> None:
    root = make_folder({f"{train}/a": 3, f"{train}/b": 4, f"{val}/a": 2, "test/a": 1, "test/b": 1})
    assert sizes(root) == (7, 2, 2)


def test_missing_val_is_split_off_train(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 10, "train/b": 10, "test/a": 1})
    assert sizes(root, rule=SplitRule(val_fraction=0.3)) == (14, 6, 1)


def test_missing_test_is_split_off_train(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 10, "train/b": 10, "val/a": 1})
    assert sizes(root, rule=SplitRule(test_fraction=0.1)) == (18, 1, 2)


def test_class_missing_from_val_keeps_its_label(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 2, "train/b": 2, "train/c": 2, "val/c": 2, "test/b": 1})
    dataset = load(root)
    assert dataset.val.labels.tolist() == [2, 2]
    assert dataset.test.labels.tolist() == [1]


def test_other_files_and_hidden_folders_are_ignored(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 5, "b": 5, ".cache": 3, "a/deeper": 1, "a/.hidden": 2})
    for name in (".DS_Store", "Thumbs.db", "README.md", "._001.png"):
        (root / "a" / name).write_bytes(b"junk")
        (root / name).write_bytes(b"junk")
    assert sum(sizes(root)) == 11


@pytest.mark.parametrize(
    "name",
    [
        *(
            "@eaDir",
            "#recycle",
            "@Recycle",
            "$RECYCLE.BIN",
            "System Volume Information",
            "lost+found",
        ),
        "__MACOSX",
    ],
)
def test_images_in_folders_of_systems_are_ignored(make_folder: MakeFolder, name: str) -> None:
    """Synology keeps a small copy of each photo: of a test photo, it must not be trained on."""
    root = make_folder({"a": 5, "b": 5, f"a/{name}/IMG_1.jpg": 3, name: 4, f"{name}/cat": 2})
    dataset = load(root)
    assert dataset.classes == ("a", "b")
    assert len(dataset.train) + len(dataset.val) + len(dataset.test) == 10
    assert [path.parent for path in find_pictures([root]).paths] == 5 * [root / "a"] + 5 * [
        root / "b"
    ]


@pytest.mark.parametrize("closed", ["a/deeper", "a", "val/a", ""])
def test_a_folder_that_cannot_be_read_is_refused(
    make_folder: MakeFolder, close_folder: Callable[[Path], None], closed: str
) -> None:
    """Left out without a word, its images would be missing."""
    classes = {"a/deeper": 2, "b": 2}
    root = make_folder(
        {f"{split}/{name}": n for split in ("train", "val") for name, n in classes.items()}
        if closed.startswith("val")
        else classes
    )
    close_folder(root / closed)
    for opened in (load, lambda root: find_pictures([root])):
        with pytest.raises(InputError) as error:
            opened(root)
        one_line(error, f"{root / closed}: Permission denied: give", "that can be read")


def test_links_are_followed_once(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 5, "b": 5})
    (root / "c").symlink_to(root / "b")
    (root / "a" / "loop").symlink_to(root / "a")
    (root / "b" / "link.png").symlink_to(root / "a" / "000.png")
    dataset = load(root)
    assert dataset.classes == ("a", "b", "c")
    assert len(dataset.train) + len(dataset.val) + len(dataset.test) == 5 + 6 + 6


def test_empty_class_folder_is_left_out_with_a_warning(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"a": 5, "b": 5, "empty": 0})
    with caplog.at_level(logging.WARNING):
        assert load(root).classes == ("a", "b")
    assert "empty holds no images" in caplog.text


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path / "nowhere")
    one_line(error, "nowhere", "does not exist")


def test_file_in_place_of_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as error:
        load(tmp_path / "file")
    one_line(error, "file", "is not a folder")


@pytest.mark.parametrize("counts", [{}, {"a": 0, "b": 0}])
def test_folder_without_images(tmp_path: Path, make_folder: MakeFolder, counts: dict) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError) as error:
        load(make_folder(counts))
    one_line(error, "data", "no class folders with images")


def test_one_class(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"only": 5}))
    one_line(error, "'only'", "two")


def test_class_that_train_lacks(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"train/a": 2, "train/b": 2, "val/zebra": 1}))
    one_line(error, "'zebra'", "not in train")


def test_empty_split(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"train/a": 2, "train/b": 2, "test": 0}))
    one_line(error, "test", "no images")


def test_val_without_train(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"val/a": 2, "val/b": 2}))
    one_line(error, "val/", "no train/")


def test_two_folders_for_one_split(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"train/a": 2, "val/a": 2, "valid/a": 2}))
    one_line(error, "val/", "valid/")


def test_classes_too_small_to_split(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"a": 1, "b": 1}))
    one_line(error, "no image for")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
@pytest.mark.parametrize("name", ["val_fraction", "test_fraction"])
def test_fraction_outside_its_range(make_folder: MakeFolder, name: str, fraction: float) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"a": 4, "b": 4}), rule=SplitRule(**{name: fraction}))
    one_line(error, name, str(fraction))


def test_fractions_that_leave_nothing(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load(make_folder({"a": 4, "b": 4}), rule=SplitRule(0.5, 0.6))
    one_line(error, "0.5", "0.6")


def test_resolution_too_small(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError) as error:
        load_dataset(str(make_folder({"a": 4, "b": 4})), resolution_px=0)
    one_line(error, "resolution must", "got 0")
