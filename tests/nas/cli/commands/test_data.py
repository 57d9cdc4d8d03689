"""`nas data`: what it prints, its pictures, images with wrong labels, wrong options."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.checkpoints.checkpoint import checkpoint_bytes
from tests.deploying import CLASSES, shaded, trained_checkpoint
from tests.nas.image_sets import make_splits


@pytest.fixture
def folder(tmp_path):
    make_splits(tmp_path / "set")
    return tmp_path / "set"


def test_the_command(nas, folder, tmp_path):
    shutil.copy(folder / "train/cat/0.png", folder / "test/dog/copied.png")
    (folder / "val/dog/torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    status, out, err = nas("data", folder, "--picture", tmp_path / "sheet.png")
    assert status == 2  # the picture needs all images
    assert "torn.png" in err
    (folder / "val/dog/torn.png").unlink()
    status, out, err = nas("data", folder, "--picture", tmp_path / "sheet.png")
    assert status == 0
    assert "cat" in out
    assert "1 image in several splits, so that accuracy on val or test looks too high" in err
    assert "1 image in several classes, so that some labels are wrong" in err
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 2 * 32
    status, out, _ = nas("data", folder, "--json")
    assert json.loads(out)["copies"][0]["across_splits"] is True


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--picture", "no/such/a.png"), "no folder no/such"),
        (("--picture", "a.jpg"), "give a name that ends with .png"),
        (("--recipe", "none"), "no recipe 'none'"),
    ],
)
def test_wrong_options(nas, folder, more, expected):
    status, _, err = nas("data", folder, *more)
    assert status == 2
    assert expected in err


def test_a_missing_folder(nas, tmp_path):
    status, _, err = nas("data", tmp_path / "none")
    assert status == 2
    assert "none" in err


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    """A trained seed.pt, and images of its classes; some are in the folder of another."""
    folder = tmp_path_factory.mktemp("shades")
    (folder / "seed.pt").write_bytes(checkpoint_bytes(trained_checkpoint()))
    rng = np.random.default_rng(3)
    for split in ("train", "val", "test"):
        for label, name in enumerate(CLASSES):
            (folder / "set" / split / name).mkdir(parents=True)
            for number in range(8):
                image = Image.fromarray(shaded(label, rng))
                image.save(folder / "set" / split / name / f"{label}-{number}.png")
    for split, true, label in WRONG:
        path = folder / "set" / split / CLASSES[true] / f"{true}-3.png"
        path.rename(folder / "set" / split / CLASSES[label] / "wrong.png")
    return folder


WRONG = [(split, true, (true + 1) % 3) for split in ("train", "test") for true in range(3)]
"""Split, true class and folder of an image."""


def test_wrong_labels(nas, shades, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = nas("data", shades / "set", "--network", shades / "seed.pt", "-o", "x.csv")
    assert status == 0, err
    with Path("x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = [row for row in rows if row["file"].endswith("wrong.png")]
    assert {(row["split"], row["looks_like"], row["label"]) for row in wrong} == {
        (split, CLASSES[true], CLASSES[label]) for split, true, label in WRONG
    }
    for row in wrong:
        assert float(row["label_probability"]) < 0.1 < float(row["looks_like_probability"])
        assert f" {row['split']}/{row['label']}/wrong.png " in out
    assert len(rows) <= len(WRONG) + 2  # some images are hard
    assert "of 24 in train" in err
    assert "some are the network's own mistakes" in err
    with Image.open("x.png") as sheet:
        assert sheet.width > 2 * 192
    status, out, _ = nas(
        "data", shades / "set", "--network", shades / "seed.pt", "--json", "--worst", 1
    )
    found = json.loads(out)["label_errors"]
    assert found["px"] == 32
    assert [(one["split"], one["file"]) for one in found["images"]] == [
        (row["split"], row["file"]) for row in rows
    ]


def test_the_worst_only(nas, shades, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = nas(
        "data", shades / "set", "--network", shades / "seed.pt", "--worst", 2, "-o", "x.csv"
    )
    assert status == 0
    assert "the 2 least like their labels, of" in " ".join(out.split())
    assert out.count("wrong.png") <= 2
    with Image.open("x.png") as sheet:
        assert sheet.width < 3 * 192


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-o", "x.csv"), "--output x.csv needs a network: give --network FILE as well"),
        (("--classes", "x.txt"), "--classes x.txt needs a network"),
        (
            ("--network", "mobilenet_v2"),
            "mobilenet_v2 has no weights: train it first with nas train",
        ),
        (("--network", "absent.pt"), "absent.pt"),
        (("--network", "seed.pt", "-o", "x.txt"), "--output writes CSV, got x.txt"),
        (("--network", "seed.pt", "-o", "no/x.csv"), "no folder no: create it"),
        (
            ("--network", "seed.pt", "-o", "x.csv", "--picture", "x.png"),
            "--picture and --output both write x.png",
        ),
        (("--network", "seed.pt", "--worst", 0), "--worst"),
        (("--network", "seed.pt"), "the network does not know the data's classes 'cat', 'dog'"),
    ],
)
def test_options_of_wrong_labels(nas, folder, shades, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seed.pt").symlink_to(shades / "seed.pt")
    status, out, err = nas("data", folder, *arguments)
    assert (status, out) == (2, "")
    assert expected in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("x.csv").exists()
