"""The task of detection: its contract, augmentation, evidence, and that a detector learns."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.retrain import fine_tune, train_from_scratch
from nas.checkpoints.usage import Usage
from nas.data.image_files.preparation import Preparation
from nas.data.share import WHOLE
from nas.tasks import task_of, task_of_spec
from nas.tasks.conformance import check_task
from nas.tasks.detection import matching
from nas.tasks.detection.detection import Detection
from nas.training.evaluate import evidence
from nas.training.optimization.optimizer import head_parameters
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, InputError
from search_spaces.network import build
from tests.nas.drawn_scenes import COLORS, drawn_data, scenes

SMALL = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64)
STRONG = Recipe(detect={"crop": True, "zoom_out": 0.5, "distort": 0.5})


def test_it_keeps_the_contract_of_a_task():
    data = drawn_data()
    network = build(Detection().headed(SMALL, classes=3))
    check_task(Detection(), data, network, STRONG)


def test_boxes_follow_the_image_through_augmentation():
    split = scenes(24, px=96, seed=5)
    images, targets = next(split.batches(24))
    pixels, changed = Detection().augmented(
        images,
        targets,
        Recipe(detect={"crop": True, "zoom_out": 0.5, "distort": 0}),
        generator=torch.Generator().manual_seed(0),
        size_px=64,
        share=WHOLE,
    )
    assert pixels.shape == (24, 3, 64, 64)
    assert changed.shape == targets.shape
    seen = 0
    for image, rows in zip(pixels, changed, strict=True):
        for class_, x1, y1, x2, y2, _ in rows[rows[:, 0] >= 0].tolist():
            middle = image[:, int(32 * (y1 + y2)), int(32 * (x1 + x2))].float()
            color = torch.tensor(COLORS[int(class_)]).float()
            seen += int((middle - color).abs().max() < 40)
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1
    total = int((changed[:, :, 0] >= 0).sum())
    assert total > 20
    assert seen >= 0.8 * total  # of some, another rectangle covers the middle


def test_objects_of_many_images_are_matched_in_parts(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(5, 7, 2, generator=generator) * 0.6
    classes = torch.randint(-1, 3, (5, 7, 1), generator=generator).float()
    ignored = torch.randint(0, 2, (5, 7, 1), generator=generator).float()
    targets = torch.cat([classes, low, low + 0.3, ignored], dim=2)
    anchors = torch.cat([torch.rand(40, 2, generator=generator), torch.full((40, 2), 0.3)], dim=1)
    whole = matching.match(targets, anchors)
    monkeypatch.setattr(matching, "AT_ONCE", 2 * 7 * 40)
    assert all(
        torch.equal(*pair) for pair in zip(matching.match(targets, anchors), whole, strict=True)
    )


def test_strata_and_other_classes():
    targets = torch.tensor(
        [
            [[0, 0, 0, 1, 1, 0], [2, 0, 0, 1, 1, 0]],
            [[0, 0, 0, 1, 1, 0], [-1, 0, 0, 0, 0, 0]],
            [[-1, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0]],
        ]
    ).float()
    assert Detection().strata(targets.numpy()).tolist() == [2, 0, 3]
    moved = Detection().relabelled(targets, torch.tensor([4, 1, 0]))
    assert moved[:, :, 0].tolist() == [[4, 0], [4, -1], [-1, -1]]


def test_evidence_has_an_interval_and_paired_differences():
    data = drawn_data(test=24)
    networks = [
        build(Detection().headed(SMALL, classes=3), generator=torch.Generator().manual_seed(seed))
        for seed in (0, 1)
    ]
    one, other = (
        evidence(n, data.test, mean=data.mean, std=data.std, task="detect") for n in networks
    )
    low, high = one.interval()
    assert low <= one.score().accuracy <= high
    same = one.minus(pickle.loads(pickle.dumps(one)))
    assert (same.points, same.low, same.high) == (0, 0, 0)
    apart = one.minus(other)
    assert apart.low <= apart.points <= apart.high
    halves = [
        evidence(networks[0], part, mean=data.mean, std=data.std, task="detect")
        for part in (data.test.take(np.arange(12)), data.test.take(np.arange(12, 24)))
    ]
    joined = halves[0].joined(halves[1:])
    assert joined.score().accuracy == pytest.approx(one.score().accuracy, abs=1e-6)
    details = one.details(data.classes)
    assert [row["class"] for row in details["by_class"]] == ["red", "green", "blue"]


def test_a_classifier_becomes_a_detector_and_keeps_its_body(tmp_path):
    usage = Usage(("a", "b"), 64, (0.5,) * 3, (0.25,) * 3)
    spec = REFERENCES["mobilenet_v2"](width=0.35, resolution=64, classes=2)
    start = Checkpoint(spec, build(spec).state_dict(), usage)
    detector = start.for_task("detect", ("x", "y", "z"))
    assert task_of_spec(detector.spec) == "detect"
    for name in ("stem.0.weight", "blocks.13.layers.0.0.weight", "head.conv.0.weight"):
        assert torch.equal(detector.weights[name], start.weights[name])
    (tmp_path / "d.pt").write_bytes(checkpoint_bytes(detector))
    again = load_checkpoint(tmp_path / "d.pt")
    assert again.spec == detector.spec
    assert again.usage.classes == ("x", "y", "z")
    other = detector.with_classes(("x", "y"))
    assert torch.equal(
        other.weights["head.boxes.0.1.weight"], detector.weights["head.boxes.0.1.weight"]
    )
    assert other.weights["head.scores.0.1.weight"].shape[0] == 6 * 3


def test_a_detector_cannot_become_a_classifier():
    spec = Detection().headed(SMALL, classes=2)
    with pytest.raises(InputError, match="the network has a ssdlite head: give a classifier"):
        task_of("classify").headed(spec, classes=3)


def test_a_detector_learns_drawn_scenes():
    """It learns a few scenes by heart, from nothing, and is tuned further."""
    data = drawn_data(train=24, test=8)
    recipe = Recipe(
        steps=120,
        batch_size=12,
        optimizer="adamw",
        learning_rate=4e-3,
        detect={"crop": False, "distort": 0},
        augment={"flip": False},
        threads=1,
    )
    trained = train_from_scratch(REFERENCES["mobilenet_v2"](width=0.35), data, recipe)
    assert trained.checkpoint.spec.resolution == 64
    assert trained.checkpoint.usage.preparation == Preparation(fit="stretch")
    network = trained.checkpoint.network()
    seen = evidence(network, data.train, mean=data.mean, std=data.std, task="detect")
    assert seen.average_precision().ap50 > 0.4  # that of random weights is below 0.05
    tuned = fine_tune(trained.checkpoint, data, Recipe(steps=1, batch_size=12, threads=1))
    assert tuned.checkpoint.usage.classes == ("red", "green", "blue")


def test_a_classifier_is_not_tuned_on_boxes():
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64, classes=3)
    usage = Usage(("red", "green", "blue"), 64, (0.5,) * 3, (0.25,) * 3)
    start = Checkpoint(spec, build(spec).state_dict(), usage)
    with pytest.raises(
        InputError, match="head is for the task classify, the images are annotated for"
    ):
        fine_tune(start, drawn_data(), Recipe(steps=1, batch_size=16))


def test_a_new_head_may_learn_faster_than_the_body():
    spec = Detection().headed(REFERENCES["mobilenet_v2"](width=0.35, resolution=64), classes=3)
    network = build(spec)
    names = {id(weight): name for name, weight in network.named_parameters()}
    head = {names[id(weight)] for weight in head_parameters(network)}
    assert "head.conv.0.weight" not in head
    assert {name for name in names.values() if not name.startswith("head.")}.isdisjoint(head)
    assert {"head.extras.0.0.0.weight", "head.scores.5.1.bias", "head.boxes.0.0.1.weight"} <= head
