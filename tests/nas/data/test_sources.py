"""The embedded data, torchvision's sets, unknown names, and real photos."""

import gzip
import os
import struct
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets

from nas.data.images import Dataset
from nas.data.load import load_dataset
from nas.data.splits.rule import SplitRule
from nas.data.torchvision_sets import SETS, download_root
from search_spaces.errors import InputError


def test_the_embedded_subset_is_balanced(fashion: Dataset) -> None:
    assert fashion.resolution_px == 28
    assert len(fashion.classes) == 10
    for split, each in (("train", 1000), ("val", 250), ("test", 250)):
        part = getattr(fashion, split)
        assert np.bincount(part.labels).tolist() == [each] * 10
        assert part.images.shape == (10 * each, 3, 28, 28)
        assert np.array_equal(part.images[:, 0], part.images[:, 2])


def test_no_embedded_image_is_in_two_splits(fashion: Dataset) -> None:
    seen = [
        {image.tobytes() for image in getattr(fashion, split).images[:, 0]}
        for split in ("train", "val", "test")
    ]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_the_embedded_subset_carries_its_licence() -> None:
    text = (files("nas.data") / "assets" / "LICENSE.fashion-mnist").read_text()
    assert "Zalando SE" in text
    assert "Permission is hereby granted" in text


def test_the_embedded_subset_can_be_resized() -> None:
    dataset = load_dataset("fashion-mnist-subset", resolution_px=16)
    assert dataset.train.images.shape == (10_000, 3, 16, 16)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("CIFAR11", "CIFAR10"),
        ("fashion-mnist", "fashion-mnist-subset"),
        ("flower102", "Flowers102"),
        ("zzzzzz", "give a folder"),
    ],
)
def test_unknown_names_get_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(InputError, match=repr(name)) as error:
        load_dataset(name)
    assert suggestion in str(error.value)
    assert "\n" not in str(error.value)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))


@pytest.fixture
def fashion_root(tmp_path: Path) -> Path:
    """The raw files of FashionMNIST with 40 and 10 random images."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    return tmp_path


def test_a_torchvision_set_by_name_in_any_case(
    fashion_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILE_NAS_DOWNLOADS", str(fashion_root))
    dataset = load_dataset("fashionmnist", rule=SplitRule(val_fraction=0.25))
    assert dataset.name == "FashionMNIST"
    assert dataset.classes[9] == "Ankle boot"
    assert dataset.resolution_px == 28
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (30, 10, 10)
    source = torchvision.datasets.FashionMNIST(fashion_root, train=False)
    assert np.array_equal(dataset.test.images[:, 1], source.data.numpy())
    streamed = load_dataset(
        "FashionMNIST", rule=SplitRule(val_fraction=0.25), memory_limit_mb=0, workers=0
    )
    images, labels = next(streamed.train.batches(8))
    assert np.array_equal(images, dataset.train.images[:8])
    assert np.array_equal(labels, dataset.train.labels[:8])


@pytest.mark.parametrize("failure", [OSError("no route\nto host"), RuntimeError("bad checksum")])
def test_a_failed_download_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: object, download: bool = False, **__: object) -> None:
        raise failure

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    with pytest.raises(InputError, match="CIFAR10") as error:
        load_dataset("cifar10", root=tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_where_downloads_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBILE_NAS_DOWNLOADS", "/elsewhere")
    assert download_root(Path("/here")) == Path("/here")
    assert download_root(None) == Path("/elsewhere")
    monkeypatch.delenv("MOBILE_NAS_DOWNLOADS")
    assert download_root(None).name == "mobile-nas"


@pytest.mark.parametrize("name", SETS)
def test_every_listed_set_exists(name: str) -> None:
    assert hasattr(torchvision.datasets, name)


@pytest.fixture
def grocery() -> Path:
    root = os.environ.get("MOBILE_NAS_PHOTOS")
    if not root or not Path(root, "grocery").is_dir():
        pytest.skip("set MOBILE_NAS_PHOTOS to a folder that has the real photos in grocery/")
    return Path(root, "grocery")


def test_real_photos(grocery: Path) -> None:
    dataset = load_dataset(str(grocery), resolution_px=32)
    assert len(dataset.classes) == 43
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (2640, 296, 2485)
    assert set(dataset.val.labels) < set(range(43))
    streamed = load_dataset(str(grocery), resolution_px=32, memory_limit_mb=1)
    images, labels = next(streamed.val.batches(64))
    assert np.array_equal(images, dataset.val.images[:64])
    assert np.array_equal(labels, dataset.val.labels[:64])


@pytest.mark.slow
@pytest.mark.long
def test_real_photos_choose_their_resolution(grocery: Path) -> None:
    assert load_dataset(str(grocery), memory_limit_mb=1).resolution_px == 128
