"""The photos in the package."""

import hashlib

from nas.data import embedded
from nas.data.load import open_source


def test_there_are_1431_photos_of_15_varieties():
    source = open_source("fruit-photos")
    assert len(source.classes) == 15
    assert {name: len(part.labels) for name, part in source.pictures.items()} == {
        "train": 721, "val": 205, "test": 505,
    }  # fmt: skip
    assert source.default_px() == 128
    assert embedded.embedded_name(source.classes) == "fruit-photos"


def test_no_test_photo_is_in_another_part():
    folder = embedded.photo_folder()
    digests = {
        split: {hashlib.sha256(p.read_bytes()).digest() for p in (folder / split).glob("*/*.jpg")}
        for split in ("train", "val", "test")
    }
    assert not digests["test"] & (digests["train"] | digests["val"])
    assert not digests["train"] & digests["val"]


def test_their_licence_is_with_them():
    assert "Marcus Klasson" in (embedded.photo_folder() / "LICENSE").read_text()
