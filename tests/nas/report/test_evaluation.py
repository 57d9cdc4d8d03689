"""The page of an evaluation, and its building block."""

from __future__ import annotations

import base64
import gzip
import io

import numpy as np
import pytest
import torch
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.usage import Usage
from nas.data.image_files.preparation import Preparation
from nas.data.images import ArraySplit
from nas.engine.folder.run_folder import RunFolder
from nas.export.evaluation.answers import evidence_of
from nas.export.evaluation.examination import examined
from nas.export.evaluation.examined import (
    FILE,
    Examined,
    forget_examined,
    keep_examined,
    read_examined,
)
from nas.export.evaluation.original_images import OriginalImages
from nas.export.models import of_checkpoint
from nas.report.evaluation import MOST_CURVES, evaluation_part, figure_of, write_evaluation
from nas.tasks.display import Curve, Lines, Matrix
from search_spaces import REFERENCES, InputError
from search_spaces.heads.named import with_head
from search_spaces.network import build
from tests.nas.report.pages import figures_in, text_of

ATTACK = "<script>alert(1)</script>"
CLASSES = ("cat", ATTACK)
PX = 64


class Photos:
    """Photos of different sizes in memory, annotated for a task."""

    names = None

    def __init__(self, targets) -> None:
        rng = np.random.default_rng(0)
        sizes = [(40, 30), (20, 60), (50, 50)]
        self.images = [
            Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes
        ]
        self.targets = targets

    def __len__(self) -> int:
        return len(self.images)

    def open(self, index):
        return self.images[index].copy()

    def describe(self, index):
        return f"photo {index}"

    def size(self, index):
        return self.images[index].size

    def original(self, index):
        return self.targets[index]


BOXES = [
    np.array([[1, 0.1, 0.1, 0.6, 0.7, 0]], np.float32),
    np.zeros((0, 6), np.float32),
    np.array([[0, 0.2, 0.2, 0.9, 0.9, 0], [1, 0, 0, 0.2, 0.2, 1]], np.float32),
]
MASKS = [
    np.zeros((30, 40), np.uint8),
    np.ones((60, 20), np.uint8),
    np.full((50, 50), 255, np.uint8),
]
LABELS = np.array([0, 1, 0])


def looked_at(task: str, targets, batch, head: str | None) -> Examined:
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=PX, classes=2)
    spec = spec if head is None else with_head(spec, head, classes=2)
    usage = Usage(CLASSES, PX, (0.5,) * 3, (0.25,) * 3, fit="stretch")
    torch.manual_seed(0)
    model = of_checkpoint(Checkpoint(spec, build(spec).state_dict(), usage))
    own = OriginalImages(Photos(targets), Preparation(fit="stretch"), task, np.arange(2))
    split = ArraySplit(np.stack([own.square(i, PX) for i in range(3)]), batch)
    evidence = evidence_of(model, split, task=task, originals=own)
    return examined(model, evidence, [own], CLASSES)


@pytest.fixture(
    params=[
        ("detect", BOXES, np.full((3, 2, 6), -1, np.float32), "ssdlite"),
        ("segment", MASKS, np.zeros((3, 8, 8), np.uint8), "lraspp"),
        ("classify", LABELS, LABELS, None),
    ],
    ids=lambda case: case[0],
)
def seen(request) -> Examined:
    return looked_at(*request.param)


def test_a_page_has_tables_charts_and_images(seen, tmp_path) -> None:
    path = tmp_path / "page.html"
    write_evaluation(path, seen, network="seed.pt", details=[("Images", "photos")])
    page = path.read_text()
    text = text_of(page)
    assert f"{100 * seen.value:.1f}% {seen.metric}" in text
    assert "The worst images" in text
    assert ATTACK not in page
    assert len(figures_in(page)) == len(seen.charts) >= 1
    assert page.count("data:image/jpeg") == sum(len(one.pictures) for one in seen.worst)
    assert ("Left: what is true" in text) == (seen.metric != "accuracy")


def test_the_worst_come_first_in_their_own_shape(seen) -> None:
    scores = [one.score for one in seen.worst]
    assert scores == sorted(scores)
    assert scores[-1] < 1
    shapes = {"photo 0": (360, 270), "photo 1": (120, 360), "photo 2": (360, 360)}
    for one in seen.worst:
        for picture in one.pictures:
            assert Image.open(io.BytesIO(base64.b64decode(picture))).size == shapes[one.name]
    assert sum(len(p) for one in seen.worst for p in one.pictures) < 1e6


def test_it_survives_a_file(seen, tmp_path) -> None:
    folder = RunFolder(tmp_path)
    keep_examined(folder, seen)
    assert read_examined(folder) == seen
    kept = folder / FILE
    for damaged in (kept.read_bytes()[:-9], b"no gzip", gzip.compress(b'{"metric": 1}')):
        kept.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"{FILE}: .*: restore it from a copy, or remove it"):
            read_examined(folder)
    forget_examined(folder)
    assert read_examined(folder) is None


def test_a_classifier_s_images_are_shown_once_and_masks_are_named_by_color() -> None:
    labels = looked_at("classify", LABELS, LABELS, None)
    assert {len(one.pictures) for one in labels.worst} == {1}
    assert labels.worst[0].truth in CLASSES
    assert not labels.legend
    masks = looked_at("segment", MASKS, np.zeros((3, 8, 8), np.uint8), "lraspp")
    assert all(color.startswith("rgb(") for _, color in masks.legend)
    assert "photo 2" not in [one.name for one in masks.worst]  # no pixel of it counts


def test_without_an_evaluation_there_is_nothing_to_draw() -> None:
    assert evaluation_part(None).figures == {}


def test_curves_of_the_weakest_classes_are_drawn() -> None:
    curves = tuple(Curve(str(n), (0.0, 1.0), (n / 20, n / 20)) for n in range(20))
    drawn = figure_of(Lines("t", "n", "x", "y", curves))["data"]
    assert [trace["name"] for trace in drawn] == [str(n) for n in range(MOST_CURVES)]


@pytest.mark.parametrize(
    ("counts", "text"), [(((3, 1), (0, 0)), "3"), (((3000, 1000), (0, 0)), "75%")]
)
def test_a_matrix_shows_few_as_numbers_and_many_as_shares(counts, text) -> None:
    (data,) = figure_of(Matrix("t", "n", "images", ("a", "b"), ("a", "b"), counts))["data"]
    assert data["text"][0][0] == text
    assert data["z"] == [[0.75, 0.25], [0, 0]]
