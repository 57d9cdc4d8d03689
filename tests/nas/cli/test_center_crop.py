"""The center crop from recipe to checkpoint, through search, `nas train`, `nas import` and NetAdapt."""

import json
from dataclasses import replace

import pytest
import torch
import torchvision
from PIL import Image
from rich.console import Console

from latency import open_device
from nas.adapting.config import AdaptConfig
from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.checkpoints.retrain import fine_tune, train_from_scratch
from nas.cli.adapt.opening import open_adapting
from nas.cli.search.opening import open_job
from nas.data.image_files.preparation import Preparation
from nas.data.load import load_dataset
from nas.engine.memoized_source import MemoizedSource
from nas.run_adapt import adapt
from nas.searching.arguments import proxy_training
from nas.searching.config import FinalsConfig
from nas.searching.images import SearchImages
from nas.searching.presets import make_config
from nas.training.recipe import Augment, Recipe
from search_spaces import InputError
from tests.nas.adapting.test_adapt import CONFIG, DATA, SEED

QUICK = ("--resolution", 32, "--epochs", 0.5, "--json")
SILENT = Console(quiet=True)
CROPS = Augment(crop_area=0.28)  # mean area 0.64: sides of 1/0.8


@pytest.fixture
def train(nas, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(network, output, crop):
        (tmp_path / "mine.yaml").write_text(f"batch_size: 16\ncenter_crop: {crop}\n")
        given = ("--data", photos, "--recipe", "mine.yaml", "-o", output, *QUICK)
        status, out, err = nas("train", network, *given)
        assert status == 0, err
        return json.loads(out), load_checkpoint(output).usage.crop

    return run


def test_the_recipe_decides_or_else_the_network(train, nas, photos):
    result, crop = train("mobilenet_v3_small@0.35", "a.pt", 0.6)
    assert crop == 0.6
    status, out, _ = nas("evaluate", "a.pt", "--data", photos, "--json")
    assert status == 0
    assert json.loads(out)["accuracy"] == result["test_accuracy"]
    assert train("a.pt", "b.pt", "null")[1] == 0.6
    assert train("a.pt", "c.pt", 1)[1] == 1
    assert train("mobilenet_v3_small@0.35", "d.pt", "null")[1] == 1


def test_paper_has_imagenets_crop():
    from nas.training.named_recipes import read_recipe

    assert read_recipe("paper").center_crop == 0.875
    assert read_recipe("proxy").center_crop is read_recipe("finetune").center_crop is None


@pytest.mark.parametrize("crop", [0, 0.09, 1.1])
def test_a_recipe_s_crop_has_limits(crop):
    with pytest.raises(ValueError, match="center_crop"):
        Recipe(center_crop=crop)


def test_import_keeps_a_crop(nas, tmp_path, seed):
    weights = tmp_path / "theirs.pth"
    torch.save(torchvision.models.mobilenet_v3_small(num_classes=2).state_dict(), weights)

    def imported(*more):
        given = ("--weights", weights, "--arch", "mobilenet_v3_small", "-o", tmp_path / "seed2.pt")
        status, _, err = nas("import", *given, *more)
        return err if status else load_checkpoint(tmp_path / "seed2.pt").usage.crop

    assert imported() == 1
    assert imported("--center-crop", 0.875) == 0.875
    like = tmp_path / "like.pt"
    like.write_bytes(checkpoint_bytes(replace(SEED, usage=replace(SEED.usage, crop=0.8))))
    assert imported("--like", like) == 0.8
    assert imported("--like", like, "--center-crop", 0.9) == 0.9
    wrong = imported("--center-crop", 87.5)
    assert "--center-crop must be from 0.1 to 1, got 87.5: 0.875 is common for ImageNet" in wrong


def test_a_search_stores_larger_training_images_at_both_sizes(photos, space):
    given = {
        "space": str(space),
        "device": "madds:1",
        "target_ms": 1.0,
        "resolution": 32,
        "data": {"source": str(photos), "proxy_resolution": 16},
        "recipe": {"batch_size": 16, "augment": {"crop_area": 0.28}, "center_crop": 0.75},
    }
    job = open_job(make_config(preset="quick", overrides=given), SILENT)
    for data, px in ((job.data, 16), (job.final_data, 32)):
        assert data.resolution_px == px
        assert data.train.images.shape[-1] == px / 0.8
        assert data.val.images.shape[-1] == data.test.images.shape[-1] == px
        assert data.preparation.crop == 0.75
    training = proxy_training(
        SearchImages.of(job.space, job.data, job.final_data), job.config.recipe,
        finals=FinalsConfig(), fidelity=None, warm_start=None, threads=1,
    )  # fmt: skip
    first = training._smaller_first(job.config.recipe)
    assert (first.px, first.split.images.shape[-1]) == (16, 20)


def opened(photos, seed, **recipes):
    config = AdaptConfig(target_ms=1.0, data={"source": str(photos)}, **recipes)
    source = MemoizedSource(open_device("madds:1"))
    return open_adapting(config, seed, source, SILENT, path=photos).data


def test_netadapt_reads_images_as_its_recipes_say(photos):
    seed = replace(SEED, usage=replace(SEED.usage, crop=0.8))
    cropped = Recipe(batch_size=16, augment=CROPS)
    found = opened(photos, seed, recipe=cropped, final_recipe=cropped)
    assert found.preparation.crop == 0.8
    assert (found.train.images.shape[-1], found.val.images.shape[-1]) == (40, 32)
    one = cropped.model_copy(update={"center_crop": 0.6})
    shifted = Recipe(batch_size=16)
    found = opened(photos, seed, recipe=shifted, final_recipe=one)
    assert found.preparation.crop == 0.6
    assert found.train.images.shape[-1] == 32  # shifts need them at the network's size


def test_netadapt_evaluates_all_its_trainings_alike():
    recipes = {"recipe": Recipe(center_crop=1), "final_recipe": Recipe(center_crop=0.875)}
    with pytest.raises(
        ValueError, match=r"center_crop is 1.0 and final_recipe.center_crop is 0.875"
    ):
        AdaptConfig(target_ms=1.0, **recipes)


def test_the_result_of_netadapt_has_the_crop_of_its_images(tmp_path):
    cropped = replace(DATA, preparation=Preparation(crop=0.875))
    config = CONFIG.model_copy(update={"final": "none"})
    given = {"latency": open_device(config.device), "config": config, "curve": False}
    seed = replace(SEED, usage=replace(SEED.usage, crop=0.875))
    with pytest.raises(InputError, match=r"center crop of 1, and the network's is 0.875"):
        adapt(seed, data=DATA, folder=tmp_path / "no", **given)
    adapt(seed, data=cropped, folder=tmp_path / "run", **given)
    assert load_checkpoint(tmp_path / "run" / "adapted.pt").usage.crop == 0.875


def test_training_from_python_refuses_images_of_another_crop():
    recipe = Recipe(steps=1, batch_size=16, center_crop=0.875)
    with pytest.raises(
        InputError, match=r"center crop of 1, and the network's is 0.875: load them"
    ):
        train_from_scratch(SEED.spec, DATA, recipe)
    seed = replace(SEED, usage=replace(SEED.usage, crop=0.875))
    with pytest.raises(InputError, match=r"center crop of 1, and the network's is 0.875"):
        fine_tune(seed, DATA, Recipe(steps=1, batch_size=16))


def test_int8_is_calibrated_on_images_as_in_use(photos, tmp_path):
    from nas.cli.images import images_of
    from nas.data.config import DataConfig

    framed = Image.new("RGB", (40, 40), "white")
    framed.paste((0, 0, 0), (10, 10, 30, 30))
    for path in photos.glob("*/*.png"):
        framed.save(path)
    usage = replace(SEED.usage, crop=0.5)
    wanted = DataConfig(source=str(photos))
    data = images_of(wanted, usage, tmp_path / "seed.pt", 20, SILENT)
    assert data.train.images.max() == data.val.images.max() == 0
    whole = load_dataset(str(photos), resolution_px=20, crop=0.5)
    assert (whole.train.images.max(), whole.val.images.max()) == (255, 0)
