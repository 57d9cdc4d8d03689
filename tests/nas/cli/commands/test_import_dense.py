"""torchvision's detector and segmentation network: imported, used and written back."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.importing.pretrained import import_checkpoint
from nas.checkpoints.importing.torchvision_networks import torchvision_network
from nas.export.models import of_checkpoint
from nas.tasks import task_of
from search_spaces import InputError
from search_spaces.channels import class_tensors
from tests.search_spaces.test_heads import ours_like, torchvision_lraspp, torchvision_ssdlite

SSDLITE, LRASPP = "ssdlite320_mobilenet_v3_large", "lraspp_mobilenet_v3_large"
MADE = {SSDLITE: torchvision_ssdlite, LRASPP: torchvision_lraspp}
PHOTOS = os.environ.get("MOBILE_NAS_PHOTOS")


@pytest.fixture(scope="module")
def models():
    """torchvision's networks, with random weights."""
    made = {}
    for name, make in MADE.items():
        model, spec = make()
        ours_like(model, spec)  # randomizes it
        made[name] = model.eval()
    return made


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for name, model in models.items():
        torch.save(model.state_dict(), folder / f"{name}.pth")
    return folder


def photo(px):
    """A photo where there are some, or else noise of some structure, uint8 (px, px, 3)."""
    if PHOTOS:
        path = next((Path(PHOTOS) / "cards").rglob("*.jpg"))
        return np.asarray(Image.open(path).convert("RGB").resize((px, px)))
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((px, px), Image.Resampling.BICUBIC))


def predicted(files, name, pixels):
    seed = import_checkpoint(torchvision_network(name), files / f"{name}.pth")
    model = of_checkpoint(seed)
    given = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
    return seed, task_of(model.feed.task).predictions(model.tensors(given), spec=seed.spec)[0]


def test_boxes_and_scores_are_torchvisions(models, files):
    pixels = photo(320)
    seed, ours = predicted(files, SSDLITE, pixels)
    with torch.inference_mode():
        (theirs,) = models[SSDLITE]([torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255])
    assert len(theirs["scores"]) == len(ours) == 300
    assert (ours.scores - theirs["scores"]).abs().max() < 1e-4
    same = ours.classes[:, None] == theirs["labels"] - 1  # equal scores may swap their places
    same &= (ours.corners[:, None] - theirs["boxes"] / 320).abs().amax(dim=2) < 1e-4
    same &= (ours.scores[:, None] - theirs["scores"]).abs() < 1e-4
    assert same.any(dim=0).sum() >= 299 <= same.any(dim=1).sum()
    assert seed.usage.fit == "stretch"
    assert seed.usage.mean == seed.usage.std == (0.5, 0.5, 0.5)
    assert (seed.usage.classes[0], seed.usage.classes[11], seed.usage.classes[89]) == (
        "person",
        "N/A",
        "toothbrush",
    )


def test_classes_of_pixels_are_torchvisions(models, files):
    pixels = photo(520)
    seed, ours = predicted(files, LRASPP, pixels)
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (seed.usage.mean, seed.usage.std)
    )
    given = (torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255 - mean) / std
    with torch.inference_mode():
        theirs = models[LRASPP](given[None])["out"]
    enlarged = torch.nn.functional.interpolate(ours.logits[None], size=(520, 520), mode="bilinear")
    assert (enlarged - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert seed.usage.mean == (0.485, 0.456, 0.406)
    assert seed.usage.classes[:2] == ("background", "aeroplane")
    assert len(seed.usage.classes) == 21


@pytest.mark.parametrize("name", MADE)
def test_the_command_reads_torchvisions_names_and_writes_them_back(nas, files, tmp_path, name):
    seed, back = tmp_path / "seed.pt", tmp_path / "back.pth"
    code, out, err = nas(
        "import", "--arch", name, "--weights", files / f"{name}.pth", "-o", seed, "--json"
    )
    assert code == 0, err
    assert json.loads(out)["named"]
    code, _, err = nas("export", seed, "--torchvision", "-o", back)
    assert code == 0, err
    theirs, written = torch.load(files / f"{name}.pth"), torch.load(back)
    assert list(written) == list(theirs)
    assert all(torch.equal(written[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("wrapped", ["module.", "model.", "_orig_mod.module."])
def test_wrappers_are_removed_but_not_the_backbone(models, tmp_path, wrapped):
    for name, model in models.items():
        tensors = {wrapped + key: value for key, value in model.state_dict().items()}
        save_file(tensors, tmp_path / "w.safetensors")
        seed = import_checkpoint(torchvision_network(name), tmp_path / "w.safetensors")
        stem = next(iter(model.state_dict().values()))
        assert torch.equal(seed.weights["stem.0.weight"], stem)


def test_the_number_of_classes_is_that_of_the_file(models, tmp_path):
    weights = dict(models[SSDLITE].state_dict())
    for key, tensor in weights.items():
        if tensor.shape[:1] == (6 * 91,):
            weights[key] = tensor[: 6 * 4].clone()
    torch.save(weights, tmp_path / "w.pth")
    seed = import_checkpoint(torchvision_network(SSDLITE), tmp_path / "w.pth")
    assert seed.spec.head.classes == 3
    assert not seed.usage.named


def test_new_classes_keep_all_that_does_not_score_them(files):
    seed = import_checkpoint(torchvision_network(SSDLITE), files / f"{SSDLITE}.pth")
    other = seed.with_classes(("jack", "queen"))
    new = set(class_tensors(seed.spec))
    assert {name.split(".")[1] for name in new} == {"scores"}
    for name, tensor in other.weights.items():
        assert (name in new) != torch.equal(tensor, seed.weights[name])


def test_a_file_without_class_scores_needs_a_number_of_classes(nas, models, tmp_path):
    weights = {k: v for k, v in models[LRASPP].state_dict().items() if "_classifier" not in k}
    torch.save(weights, tmp_path / "w.pth")
    arguments = (
        "import",
        "--arch",
        LRASPP,
        "--weights",
        tmp_path / "w.pth",
        "-o",
        tmp_path / "s.pt",
    )
    code, _, err = nas(*arguments)
    assert code == 2
    assert "no classifier (classifier.low_classifier.weight is missing): give --classes N" in err
    code, _, err = nas(*arguments, "--classes", 4)
    assert code == 0, err
    assert load_checkpoint(tmp_path / "s.pt").spec.head.classes == 4


@pytest.mark.parametrize(
    ("arch", "weights", "reason"),
    [
        (
            "mobilenet_v3_large",
            SSDLITE,
            f"did you mean --arch {SSDLITE} (476 of its weights match)?",
        ),
        (SSDLITE, LRASPP, f"did you mean --arch {LRASPP} (319 of its weights match)?"),
        ("mobilenet_v2:lraspp", LRASPP, f"did you mean --arch {LRASPP}?"),
    ],
)
def test_weights_of_another_network_are_refused(nas, files, tmp_path, arch, weights, reason):
    code, _, err = nas(
        "import", "--arch", arch, "--weights", files / f"{weights}.pth", "-o", tmp_path / "s.pt"
    )
    assert (code, err.count("\n")) == (2, 1)
    assert reason in err


def test_missing_and_superfluous_layers_are_named(models, tmp_path):
    weights = dict(models[SSDLITE].state_dict())
    del weights["head.regression_head.module_list.2.0.0.weight"]
    weights["backbone.extra.9.weight"] = torch.ones(3)
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(InputError) as caught:
        import_checkpoint(torchvision_network(SSDLITE), tmp_path / "w.pth")
    assert "475 of 476 names and shapes match" in str(caught.value)
    assert "head.regression_head.module_list.2.0.0.weight is missing" in str(caught.value)
    assert "backbone.extra.9.weight is not in the network" in str(caught.value)


@pytest.mark.parametrize("option", [("--center-crop", 0.8), ("--width", 0.5)])
def test_options_that_these_networks_do_not_have(nas, files, tmp_path, option):
    code, _, err = nas(
        "import", "--arch", SSDLITE, "--weights", files / f"{SSDLITE}.pth", *option,
        "-o", tmp_path / "s.pt",
    )  # fmt: skip
    assert (code, err.count("\n")) == (2, 1)
    assert "leave" in err
