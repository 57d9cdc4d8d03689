"""Settings of recipes that do nothing for boxes and masks are refused."""

import pytest

from nas.searching.presets import make_config
from nas.training.named_recipes import NAMES, read_recipe
from search_spaces import InputError
from tests.nas.scene_folders import box_scenes

TASKS = ("classify", "detect", "segment")


@pytest.mark.parametrize(
    ("text", "task", "said"),
    [
        ("augment: {mixup: 0.2}", "detect", r"augment.mixup 0.2 has no effect on the task detect: leave"),
        ("augment: {policy: randaugment}", "segment", "segment.largest, segment.distort and augment.flip"),
        ("augment: {crop_area: 0.25, flip: false}", "detect", "detect.crop, detect.zoom_out"),
        ("label_smoothing: 0.2", "detect", "label_smoothing 0.2 has no effect"),
    ],
)  # fmt: skip
def test_a_file_that_sets_one_is_refused(tmp_path, text, task, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as refused:
        read_recipe(path, task=task)
    assert str(refused.value).startswith(f"recipe {path}: ")
    assert read_recipe(path, task="classify") == read_recipe(path)


@pytest.mark.parametrize("task", TASKS)
def test_defaults_what_is_off_and_what_is_inherited_pass(tmp_path, task):
    path = tmp_path / "mine.yaml"
    shared = "augment: {flip: false, pad_fraction: 0.0, policy: none, mixup: 0, cutmix: 0.0}\n"
    for base in NAMES:
        assert read_recipe(base, task=task) == read_recipe(base)
        path.write_text(f"base: {base}\nlabel_smoothing: 0.1\n{shared}")
        assert read_recipe(path, task=task) == read_recipe(path)
    path.write_text("label_smoothing: 0.2")
    assert read_recipe(path, task="segment").label_smoothing == 0.2


def test_other_mistakes_are_reported_as_ever(tmp_path):
    path = tmp_path / "mine.yaml"
    for text, said in (("augment: {mixupp: 1}", "mixupp"), ("augment: 3", "augment")):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            read_recipe(path, task="detect")


@pytest.mark.parametrize("section", ["", "parent", "finals"])
def test_every_recipe_of_a_search_is_checked(tmp_path, section):
    data = {"data": {"source": str(box_scenes(tmp_path / "scenes"))}}
    path = tmp_path / "search.yaml"
    setting = "recipe: {augment: {cutmix: 1.0}}"
    path.write_text(f"{section}: {{{setting}}}" if section else setting)
    with pytest.raises(InputError) as refused:
        make_config(file=path, overrides=data, default_parent="mobilenet_v2")
    where = f"{section}.recipe" if section else "recipe"
    assert str(refused.value).startswith(f"{path}: {where}: augment.cutmix 1.0 has no effect")
    for preset in ("quick", "standard"):
        make_config(preset=preset, overrides=data, default_parent="mobilenet_v2")
        make_config(preset=preset, overrides=data | {"space": "mnasnet"})
