"""Every image is looked at before a run begins; bad ones are told together, or left out."""

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.image_files import opening
from nas.data.image_files.unreadable import Unreadable, UnreadableError
from nas.data.load import load_dataset, open_source
from search_spaces.errors import InputError
from tests.nas.image_sets import random_image

MakeFolder = Callable[[dict[str, int]], Path]
BOTH = pytest.mark.parametrize("memory_limit_mb", [0, 4096], ids=["streaming", "memory"])


def load(root: Path, **options: object) -> object:
    return load_dataset(str(root), resolution_px=8, workers=0, **options)


def spoil(root: Path, *names: str) -> None:
    """A zero-byte file, a cut one, text, and so on in turn."""
    contents = (b"", b"\x89PNG\r\n\x1a\n\0\0", b"text", random_image(3).tobytes())
    for number, name in enumerate(names):
        (root / name).write_bytes(contents[number % len(contents)])


@BOTH
def test_all_bad_images_of_all_splits_are_told_at_once(
    make_folder: MakeFolder, memory_limit_mb: int
) -> None:
    root = make_folder({"train/a": 4, "train/b": 4, "val/a": 2, "test/b": 2})
    spoil(root, "train/a/000.png", "train/b/003.png", "val/a/001.png", "test/b/000.png")
    with pytest.raises(UnreadableError) as error:
        load(root, memory_limit_mb=memory_limit_mb)
    message = str(error.value)
    assert message.startswith("4 images cannot be read")
    for name in (
        "train/a/000.png (empty file)",
        "train/b/003.png",
        "val/a/001.png",
        "test/b/000.png",
    ):
        assert name in message
    assert "\n" not in message
    assert str(pickle.loads(pickle.dumps(error.value))) == message


@BOTH
def test_of_many_bad_images_twenty_are_named(make_folder: MakeFolder, memory_limit_mb: int) -> None:
    root = make_folder({"a": 20, "b": 20})
    spoil(root, *[f"{label}/{number:03}.png" for label in "ab" for number in range(15)])
    with pytest.raises(InputError, match=r"^30 images cannot be read.* and 10 more$") as error:
        load(root, memory_limit_mb=memory_limit_mb)
    assert str(error.value).count(".png") == 20


def test_bad_images_are_listed_by_path() -> None:
    error = UnreadableError(
        [Unreadable(name, "empty file") for name in ("b/1.png", "a/2.png", "a/1.png")]
    )
    assert [one.name for one in error.found] == ["a/1.png", "a/2.png", "b/1.png"]
    assert "a/1.png (empty file), a/2.png (empty file), b/1.png (empty file)" in str(error)


@BOTH
def test_bad_images_are_left_out_before_the_splits_are_drawn(
    make_folder: MakeFolder, memory_limit_mb: int, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"a": 12, "b": 10})
    spoil(root, "a/000.png", "a/007.png")
    with caplog.at_level(logging.WARNING):
        data = load(root, memory_limit_mb=memory_limit_mb, skip_bad_images=True)
    assert (len(data.train), len(data.val), len(data.test)) == (12, 4, 4)
    assert sorted(Path(name).name for name in data.left_out) == ["000.png", "007.png"]
    assert "left out 2 images that cannot be read" in caplog.text
    assert "a/000.png" not in data.contents.drawn_from


def test_a_class_without_a_good_image_is_named(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 3, "b": 5})
    spoil(root, "a/000.png", "a/001.png", "a/002.png")
    with pytest.raises(InputError, match="no image of class 'a' can be read, for instance"):
        load(root, skip_bad_images=True)


def test_the_second_start_looks_at_changed_files_alone(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"a": 8, "b": 8})
    looked: list[str] = []
    plain = opening.open_file

    def counting(path: Path, **options: float) -> object:
        looked.append(f"{path.parent.name}/{path.name}")
        return plain(path, **options)

    monkeypatch.setattr("nas.data.image_files.pictures.open_file", counting)

    def checked(**options: object) -> list[str]:
        looked.clear()
        open_source(str(root), skip_bad_images=True, **options)
        return sorted(looked[16:])  # the first look asks all of so few for their mode

    assert len(checked()) == 16
    assert checked() == []
    random_image(99, width=31).save(root / "a" / "003.png")
    assert checked() == ["a/003.png"]
    assert checked() == []
    os.utime(root / "b" / "000.png", ns=(1, 1))
    assert checked() == ["b/000.png"]
    assert len(checked(max_megapixels=50)) == 16  # another limit is another question


def test_bad_images_are_looked_at_again(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 6, "b": 6})
    good = (root / "a" / "001.png").read_bytes()
    spoil(root, "a/001.png")
    assert len(load(root, skip_bad_images=True).left_out) == 1
    assert len(load(root, skip_bad_images=True).left_out) == 1
    (root / "a" / "001.png").write_bytes(good)
    assert load(root, skip_bad_images=True).left_out == ()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"x" * 100])
def test_a_damaged_memory_is_written_anew(
    make_folder: MakeFolder, tmp_path: Path, content: bytes
) -> None:
    root = make_folder({"a": 6, "b": 6})
    load(root, memory_limit_mb=0)
    (kept,) = (tmp_path / "cache").rglob("*.npy")
    sound = kept.read_bytes()
    kept.write_bytes(content)
    load(root, memory_limit_mb=0)
    assert kept.read_bytes() == sound


def test_a_cache_that_cannot_be_written_is_refused(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOBILE_NAS_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        InputError, match="file: File exists: set MOBILE_NAS_CACHE to a writable folder"
    ):
        load(make_folder({"a": 6, "b": 6}), memory_limit_mb=0)


def test_an_image_that_is_too_large_is_bad_too(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 6, "b": 6})
    random_image(0, width=2000, height=1000).save(root / "a" / "large.png")
    with pytest.raises(InputError, match=r"large\.png \(2000 x 1000 pixels"):
        load(root, max_megapixels=1)
    assert len(load(root, max_megapixels=1, skip_bad_images=True).left_out) == 1


def flat(root: Path, count: int, colour: tuple[int, int, int], *, label: str = "a") -> None:
    pixels = np.broadcast_to(np.array(colour, np.uint8), (16, 16, 3))
    for number in range(count):
        Image.fromarray(pixels + np.uint8(number % 3)).save(root / label / f"flat{number}.png")


@BOTH
def test_mostly_constant_images_are_warned_of_with_the_figure(
    make_folder: MakeFolder, memory_limit_mb: int, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"train/a": 5, "train/b": 5, "val/a": 2, "test/b": 2})
    flat(root / "train", 20, (40, 90, 30))
    load(root, memory_limit_mb=memory_limit_mb)
    assert "20 of 30 sampled training images have a single color, for example " in caplog.text
    assert "flat0.png" in caplog.text


def test_the_warning_comes_once_for_all_sizes(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"train/a": 5, "train/b": 5, "val/a": 2, "test/b": 2})
    flat(root / "train", 20, (40, 90, 30))
    source = open_source(str(root))
    source.at(8)
    source.at(16)
    assert caplog.text.count("have a single color") == 1


def test_copies_and_empty_channels_are_warned_of(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"a": 6, "b": 6})
    for number in range(30):
        pixels = np.asarray(random_image(7)).copy()
        pixels[..., 2] = 0
        Image.fromarray(pixels).save(root / "a" / f"copy{number}.png")
    load(root)
    assert "sampled training images are copies of others, for example " in caplog.text
    caplog.clear()
    for path in root.rglob("*.png"):
        pixels = np.asarray(random_image(hash(path.name) % 10_000)).copy()
        pixels[..., 2] = 0
        Image.fromarray(pixels).save(path)
    load(root)
    assert "blue has the same value in every pixel" in caplog.text


def test_dark_images_of_twelve_bits_are_warned_of(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder({"a": 8, "b": 8})
    for number, path in enumerate(root.rglob("*.png")):
        Image.fromarray(np.asarray(random_image(number)) >> 4).save(path)
    load(root)
    assert "no sampled training image is brighter than 1" in caplog.text


def test_ordinary_images_are_not_warned_of(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    load(make_folder({"a": 20, "b": 20}))
    assert caplog.text == ""
