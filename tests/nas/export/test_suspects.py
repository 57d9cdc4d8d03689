"""Images whose labels look wrong to a network of known probabilities."""

import numpy as np
import pytest
from PIL import Image

from nas.checkpoints.feeding import Feed
from nas.checkpoints.usage import Usage
from nas.data.load import open_source
from nas.export.evaluation.suspects import find_suspects
from nas.export.models import Model

CLASSES = ("dog", "cat")  # the folders are in the other order


def model():
    """A network whose probability of "dog" is the red channel, of 255."""

    def run(pixels):
        dog = pixels[:, 0].mean(axis=(1, 2), dtype=np.float32) / 255
        return np.stack([dog, 1 - dog], axis=1)

    usage = Usage(CLASSES, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return Model(Feed(usage, 8, values="pixels", outputs="probabilities"), run)


@pytest.fixture
def folder(tmp_path):
    """Two images of each class and split: the network is 92% sure in train, 75% in val and test."""
    for split, sure in (("train", 235), ("val", 191), ("test", 191)):
        for label, red in (("dog", sure), ("cat", 255 - sure)):
            for number in range(2):
                add(tmp_path / "set", f"{split}/{label}/{number}.png", red)
    return tmp_path / "set"


def add(folder, name, red):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (red, 90, 90)).save(folder / name)


def found(folder, **options):
    suspects = find_suspects(model(), open_source(str(folder)), indices=(1, 0), **options)
    return [(one.split, one.name.rpartition("set/")[2], one.label, one.guess) for one in suspects]


def test_sound_labels(folder):
    assert found(folder) == []


def test_wrong_labels_are_named_the_clearest_first(folder):
    add(folder, "val/cat/a.png", 215)
    add(folder, "test/dog/b.png", 20)
    add(folder, "train/cat/c.png", 250)
    assert found(folder) == [
        ("train", "train/cat/c.png", "cat", "dog"),
        ("test", "test/dog/b.png", "dog", "cat"),
        ("val", "val/cat/a.png", "cat", "dog"),
    ]
    clearest, *_ = find_suspects(model(), open_source(str(folder)), indices=(1, 0))
    assert clearest.guess_probability == pytest.approx(250 / 255)
    assert clearest.label_probability == pytest.approx(5 / 255, abs=1e-5)
    assert clearest.margin == pytest.approx(245 / 255, abs=1e-5)


def test_train_has_its_own_thresholds(folder):
    add(folder, "train/cat/doubtful.png", 215)  # 84%: below train's threshold
    add(folder, "test/cat/wrong.png", 215)  # the same, above that of val and test
    assert [name for _, name, *_ in found(folder)] == ["test/cat/wrong.png"]


def test_images_that_cannot_be_read_are_skipped(folder):
    for name in ("0a", "zz"):
        (folder / f"test/cat/{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    add(folder, "test/cat/wrong.png", 250)
    assert [name for _, name, *_ in found(folder)] == ["test/cat/wrong.png"]


def test_many_batches_report_their_progress(folder):
    for number in range(70):
        add(folder, f"train/cat/more{number}.png", 20)
    add(folder, "train/cat/x.png", 250)
    reports = []
    assert [name for _, name, *_ in found(folder, progress=lambda *of: reports.append(of))] == [
        "train/cat/x.png"
    ]
    assert reports == [(64, 83), (75, 83), (79, 83), (83, 83)]
