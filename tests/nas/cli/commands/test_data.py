"""`nas data`: what it prints, its picture, wrong options."""

import json
import shutil

import pytest
from PIL import Image

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
    assert "1 image in several splits, so that test images are trained on" in err
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
