from dataclasses import replace

import numpy as np
import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.comparing.contestant import Contestant
from nas.comparing.trainings import (
    Training,
    Trainings,
    digest_of_images,
    digest_of_teacher,
    key_of,
)
from nas.data.folders.contents import Contents
from nas.tasks.classification import Answers
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from tests.nas.image_sets import random_dataset
from tests.nas.small_parent import small_parent

PARENT = small_parent()
ONE = Contestant("one", PARENT.spec, PARENT)
RECIPE = Recipe(steps=10)
EVIDENCE = Answers(np.array([0, 1]), np.array([0, 0]), np.array([0.9, 0.2], np.float32), 1.5)


def key(contestant=ONE, images="photos", recipe=RECIPE, seed=0, teacher=None, device="cpu"):
    return key_of(contestant, images, recipe, seed=seed, teacher=teacher, device=device)


def test_a_training_is_read_as_it_was_kept(tmp_path):
    store = Trainings(tmp_path / "trainings")
    content = checkpoint_bytes(PARENT, also=Training(0.75, 12.5, EVIDENCE).entry("classify"))
    assert "k" not in store
    store.keep("k", content)
    assert "k" in store
    found = store.read("k")
    assert (found.held_out, found.train_s) == (0.75, 12.5)
    assert found.evidence.score() == EVIDENCE.score()
    assert found.evidence.minus(EVIDENCE).points == 0
    assert load_checkpoint(store.path("k")).spec == PARENT.spec  # other commands can use it


def test_a_damaged_file_is_named(tmp_path):
    store = Trainings(tmp_path)
    store.keep("k", b"half a file")
    with pytest.raises(InputError, match=r"k\.pt"):
        store.read("k")


def test_its_name_does_not_depend_on_what_the_network_is_called():
    assert key() == key(replace(ONE, name="other"))


def test_all_that_matters_changes_its_name():
    wider = replace(PARENT.spec, resolution=32)
    weights = {name: tensor + 1 for name, tensor in PARENT.weights.items()}
    usage = replace(PARENT.usage, mean=(0.1, 0.2, 0.3))
    others = [
        key(replace(ONE, spec=wider)),
        key(replace(ONE, start=None)),
        key(replace(ONE, start=replace(PARENT, weights=weights))),
        key(replace(ONE, start=replace(PARENT, usage=usage))),
        key(images="other photos"),
        key(recipe=Recipe(steps=11)),
        key(recipe=Recipe(steps=10, learning_rate=0.1)),
        key(seed=1),
        key(teacher="taught"),
        key(device="cuda"),
        key(replace(ONE, new_classes=True)),
    ]
    assert len({key(), *others}) == 1 + len(others)


def test_images_are_told_apart_by_their_files_or_their_pixels():
    data = random_dataset()
    files = Contents({"train": {"cat/1.jpg": 10}, "val": {}, "test": {}})
    others = [
        random_dataset(seed=1),
        replace(data, classes=("a", "b", "c")),
        replace(data, resolution_px=16),
        replace(data, contents=files),
        replace(data, contents=Contents({"train": {"cat/1.jpg": 11}, "val": {}, "test": {}})),
    ]
    digests = {digest_of_images(one) for one in (data, *others)}
    assert len(digests) == 1 + len(others)
    assert digest_of_images(random_dataset()) == digest_of_images(data)


def test_a_teacher_is_known_by_its_weights_wherever_its_file_lies():
    here, there = (TeacherConfig(path=path) for path in ("a.pt", "b.pt"))
    assert digest_of_teacher(PARENT, here) == digest_of_teacher(PARENT, there)
    warmer = TeacherConfig(path="a.pt", temperature=4.0)
    assert digest_of_teacher(PARENT, here) != digest_of_teacher(PARENT, warmer)
