"""What a search of detectors and segmentation networks adds: teachers, texts, defaults, sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.checkpoints.teachers import teacher_of
from nas.cli.search.parent import default_resolutions
from nas.searching.from_parent.parent import require_task
from nas.searching.planning.evidence import Evidence
from nas.searching.presets import make_config
from nas.searching.results.verdict import Score, Verdict
from nas.tasks import task_of
from nas.training.named_recipes import read_recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from tests.nas.drawn_masks import masked_data
from tests.nas.drawn_scenes import drawn_data
from tests.nas.scene_folders import box_scenes
from tests.nas.small_parent import deep_parent


def test_a_detector_teaches_in_the_students_order_of_classes_and_at_its_size():
    checkpoint = deep_parent().for_task("detect", ("a", "b", "c"))
    teacher = teacher_of(checkpoint, ("c", "a", "b"), TeacherConfig(path="t.pt"))
    own = replace(checkpoint, usage=replace(checkpoint.usage, mean=(0.0,) * 3, std=(1.0,) * 3))
    plain = replace(teacher, mean=(0.0,) * 3, std=(1.0,) * 3)
    for px in (64, 96):
        images = torch.rand(2, 3, px, px) * 255
        with torch.no_grad():
            scores, boxes = own.network()(images / 255)
        ours, same = plain.outputs(images)
        assert torch.allclose(ours, scores[..., [0, 3, 1, 2]], atol=1e-5)
        assert torch.allclose(same, boxes, atol=1e-5)


def test_a_segmentation_network_teaches_in_the_students_order_of_classes():
    checkpoint = deep_parent().for_task("segment", ("a", "b", "c"), head="raspp-os32")
    config = TeacherConfig(path="t.pt")
    images = torch.rand(2, 3, 64, 64) * 255
    first, other = (
        teacher_of(checkpoint, names, config).outputs(images) for names in ("abc", "bca")
    )
    assert torch.allclose(other, first[:, [1, 2, 0]], atol=1e-5)


def test_the_verdict_names_the_metric():
    one = Score(name="trial 3", accuracy=0.412, latencies_ms=(10.0,), px=128)
    verdict = Verdict(
        finalist=one,
        rival=one,
        points=3.1,
        low=0.2,
        high=6.0,
        images=67,
        ships="finalist",
        metric="AP",
    )
    figures, advice = verdict.sentences()
    assert "+3.1 points of AP (95% interval +0.2 to +6.0) on 67 test images" in figures
    assert "trial 3 has 41.2% AP at 10 ms (128 px)" in figures
    assert "of higher AP on the held-out images" in advice
    assert "metric" not in replace_metric(verdict).to_dict()


def replace_metric(verdict):
    return verdict.model_copy(update={"metric": None})


def test_no_binomial_error_is_assumed_of_ap():
    evidence = Evidence(steps=100, networks=16, best=0.2, chance=1 / 6, held_out=300, metric="mIoU")
    assert not evidence.near_chance()
    assert evidence.near_chance(noise=2.0)
    assert "the best held-out result, 20.0% mIoU on 300 images" in evidence.too_early(noise=2.0)


def test_images_are_counted_by_class():
    boxes, masks = drawn_data().train.targets, masked_data().train.targets
    by_box = [sum(bool((rows[:, 0] == index).any()) for rows in boxes) for index in range(4)]
    assert task_of("detect").images_with(boxes, classes=4).tolist() == by_box
    assert by_box[3] == 0
    by_pixel = [sum(bool((mask == index).any()) for mask in masks) for index in range(3)]
    assert task_of("segment").images_with(masks, classes=3).tolist() == by_pixel
    assert task_of("classify").images_with(np.array([0, 2, 2]), classes=4).tolist() == [1, 0, 2, 0]


def test_settings_begin_with_the_tasks_recipes(tmp_path):
    data = {"data": {"source": str(box_scenes(tmp_path / "scenes"))}}
    config = make_config(overrides=data, default_parent="mobilenet_v2")
    assert config.recipe == read_recipe("detect", {"steps": 60})
    assert config.finals.recipe == read_recipe("detect")
    assert config.parent.recipe == read_recipe("detect")
    assert config.parent.teacher_weight == 0
    quick = make_config(preset="quick", overrides=data, default_parent="mobilenet_v2")
    assert (quick.resolution, quick.finals.recipe.epochs) == (96, 6.0)
    assert quick.parent.recipe == read_recipe("detect", {"epochs": 15.0})
    scratch = make_config(overrides=data | {"space": "mnasnet"})
    assert (scratch.recipe.batch_size, scratch.recipe.epochs) == (16, 5.0)
    photos = make_config(overrides={}, default_parent="mobilenet_v2")
    assert photos.recipe == read_recipe("finetune", {"steps": 40})
    assert photos.parent.recipe == read_recipe("finetune")


def test_dilation_does_not_bring_resolutions_closer():
    segmenter = deep_parent().for_task("segment", ("a", "b"))
    assert default_resolutions(segmenter, 256) == (256, 224, 192, 160, 128)
    assert default_resolutions(deep_parent(), 200) == (192, 160, 128)


def test_a_parent_must_be_for_the_images_task():
    with pytest.raises(InputError, match="the parent is for the task classify, and scenes is"):
        require_task(deep_parent(), drawn_data())
