"""Tasks keep their contract, which the shared suite checks, and are found by name."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from nas.data.images import ArraySplit, Dataset
from nas.tasks import TASKS, task_of
from nas.tasks.classification import Answers, Classification
from nas.tasks.conformance import check_task
from nas.tasks.confusion import Confusion
from nas.tasks.intervals import wilson
from nas.tasks.settings import Augment
from nas.training.evaluate import evaluate, evidence
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, InputError
from search_spaces.network import Network, build
from tests.nas.image_sets import random_dataset

PX = 32


@pytest.fixture(scope="module")
def data() -> Dataset:
    return random_dataset(count=19, size_px=PX)


@pytest.fixture(scope="module")
def network() -> Network:
    return build(REFERENCES["mobilenet_v3_small"](width=0.35, resolution=PX, classes=3))


@pytest.mark.parametrize(
    "augment",
    [Augment(), Augment(crop_area=0.5, brightness=0.3), Augment(mixup=0.2), Augment(cutmix=1.0)],
    ids=["shift", "crop", "mixup", "cutmix"],
)
def test_classification_keeps_the_contract(data, network, augment) -> None:
    check_task(Classification(), data, network, Recipe(augment=augment))


class Forgetful(Classification):
    """Loses the last image of a batch."""

    def augmented(self, images, targets, how, **options):
        return images[:-1], targets[:-1]


class Shifting(Classification):
    """Looks up the class before the one that is asked for."""

    def relabelled(self, targets, indices):
        return super().relabelled(targets, indices.roll(1))


@pytest.mark.parametrize(
    ("task", "broken"), [(Forgetful(), "augmented images are"), (Shifting(), "relabelled")]
)
def test_a_broken_task_is_told_what_it_breaks(data, network, task, broken) -> None:
    with pytest.raises(AssertionError, match=broken):
        check_task(task, data, network, Recipe())


def test_evidence_is_in_the_order_of_the_images(data, network) -> None:
    shuffled = np.random.default_rng(0).permutation(len(data.test))
    options = {"mean": data.mean, "std": data.std}
    found = evidence(network, data.test, batch_size=4, **options)
    assert isinstance(found, Answers)
    again = evidence(network, data.test.take(shuffled), batch_size=4, **options)
    assert np.array_equal(found.correct[shuffled], again.correct)
    assert np.array_equal(found.right, data.test.labels)
    assert found.score() == evaluate(network, data.test, batch_size=4, **options)
    assert found.interval() == wilson(found.accuracy, len(data.test))


def test_classes_are_strata_and_chance_is_the_largest() -> None:
    task, labels = Classification(), np.array([0, 0, 2, 1])
    assert task.strata(labels).tolist() == [0, 0, 2, 1]
    split = ArraySplit(np.zeros((4, 3, 1, 1), np.uint8), labels)
    assert task.chance(split, classes=3) == 0.5


def test_a_teacher_that_agrees_teaches_nothing() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    Classification().distilled(logits, logits.detach(), temperature=3.0).backward()
    assert torch.allclose(logits.grad, torch.zeros(4, 3), atol=1e-6)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_found_by_name(name) -> None:
    assert task_of(name) is task_of(name)


def test_unknown_tasks_are_told_which_there_are() -> None:
    with pytest.raises(InputError, match=r"unknown task 'clasify': choose from classify.*did you"):
        task_of("clasify")


def test_a_plug_in_is_found_by_its_entry_point(tmp_path, monkeypatch) -> None:
    (tmp_path / "counting.py").write_text(
        "from nas.tasks.classification import Classification\n"
        "class Counting(Classification):\n"
        "    pass\n"
    )
    info = tmp_path / "counting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mobile_nas.tasks]\ncount = counting:Counting\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert type(task_of("count")).__name__ == "Counting"


def test_looking_tasks_up_does_not_load_torch() -> None:
    code = "import sys, nas.tasks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_of_very_many_classes_those_that_are_confused_are_drawn():
    names = tuple(f"class {index}" for index in range(500))
    counts = {(index, index): 3 for index in range(500)} | {(499, 498): 5}
    chart = Confusion(names, counts).chart()
    assert len(chart.rows) == 200
    assert {"class 498", "class 499"} <= {*chart.rows}
    assert "Of the 500 classes, the 200 that are confused most." in chart.note
