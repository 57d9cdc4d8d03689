"""Weights from elsewhere: imported, trained on, evaluated; and what is said where they do not fit."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.checkpoints.usage import Usage
from search_spaces import REFERENCES
from search_spaces.network import build
from search_spaces.spec import save


@pytest.fixture
def weights(tmp_path, randomized_norms):
    """torchvision's MobileNetV3-Small of half width, as torchvision saves it."""
    network = torchvision.models.mobilenet_v3_small(width_mult=0.5, num_classes=7)
    randomized_norms(network)
    path = tmp_path / "theirs.pth"
    torch.save(network.state_dict(), path)
    return path, network.eval()


def import_half(nas, path, output, *more):
    arch = ("--arch", "mobilenet_v3_small", "--width", 0.5)
    return nas("import", "--weights", path, *arch, "-o", output, "--json", *more)


def test_an_imported_network_computes_what_its_source_does(nas, weights, tmp_path):
    path, theirs = weights
    status, out, _ = import_half(nas, path, tmp_path / "seed.pt")
    assert status == 0
    assert json.loads(out)["classes"] == 7
    seed = load_checkpoint(tmp_path / "seed.pt")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(seed.network()(images), theirs(images), atol=1e-5)
    assert seed.usage.classes == tuple("0123456")


def test_weights_of_ones_own_are_used_like_the_seed_that_they_came_from(nas, weights, tmp_path):
    """As those of a NetAdapt run's family, trained on its seed's images and not on ImageNet's."""
    path, _ = weights
    assert import_half(nas, path, tmp_path / "first.pt")[0] == 0
    usage = Usage(tuple("abcdefg"), 28, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    first = replace(load_checkpoint(tmp_path / "first.pt"), usage=usage)
    (tmp_path / "first.pt").write_bytes(checkpoint_bytes(first))
    assert import_half(nas, path, tmp_path / "like.pt", "--like", tmp_path / "first.pt")[0] == 0
    assert load_checkpoint(tmp_path / "like.pt").usage == usage
    other = replace(first, usage=replace(usage, classes=tuple("abc"))).with_classes(tuple("abc"))
    (tmp_path / "other.pt").write_bytes(checkpoint_bytes(other))
    status, _, err = import_half(nas, path, tmp_path / "no.pt", "--like", tmp_path / "other.pt")
    assert status == 2
    assert "the weights have 7 classes and the checkpoint given as like them has 3" in err
    assert not (tmp_path / "no.pt").exists()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mobilenet_v2", torchvision.models.mobilenet_v2),
        ("mnasnet_b1", torchvision.models.mnasnet1_0),
    ],
)
def test_torchvision_loads_what_we_save(nas, tmp_path, name, make):
    path = tmp_path / "theirs.pth"
    theirs = make(num_classes=3).state_dict()
    torch.save(theirs, path)
    status, *_ = nas("import", "--weights", path, "--arch", name, "-o", tmp_path / "seed.pt")
    assert status == 0
    again = tmp_path / "again.pth"
    code, out, _ = nas("export", tmp_path / "seed.pt", "--torchvision", "-o", again, "--json")
    assert code == 0
    assert json.loads(out)["class"] in name
    back = make(num_classes=3)
    back.load_state_dict(torch.load(again, weights_only=True))
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in back.state_dict().items())


def test_only_trained_networks_of_its_kinds_go_to_torchvision(nas, seed, tmp_path):
    code, _, err = nas("export", "mobilenet_v2", "--torchvision")
    assert code == 2
    assert "--torchvision needs trained weights" in err
    code, _, err = nas("export", seed, "--torchvision", "-o", "no/such/x.pth")
    assert code == 2
    assert "no folder no/such" in err
    assert nas("export", seed, "--torchvision")[0] == 0
    assert torch.load(seed.with_suffix(".pth"), weights_only=True)["features.0.0.weight"].ndim == 4


def test_no_command_writes_over_what_it_reads(nas, seed, weights):
    before = seed.read_bytes(), weights[0].read_bytes()
    for command in (
        ("export", seed, "-o", seed),
        ("export", seed, "--torchvision", "-o", seed),
        ("import", "--weights", weights[0], "--arch", "mobilenet_v3_small@0.5", "-o", weights[0]),
    ):
        code, _, err = nas(*command)
        assert code == 2
        assert "is the input file" in err
    assert (seed.read_bytes(), weights[0].read_bytes()) == before
    code, _, err = nas("export", seed, "--torchvision", "--int8")
    assert code == 2
    assert "leave the other options out" in err


def test_imagenet_classes_have_names(nas, tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save(torchvision.models.mobilenet_v3_small().state_dict(), path)
    nas("import", "--weights", path, "--arch", "mobilenet_v3_small", "-o", tmp_path / "seed.pt")
    assert load_checkpoint(tmp_path / "seed.pt").usage.classes[948] == "Granny Smith"


def test_checkpoints_come_in_several_forms(nas, weights, tmp_path):
    path, theirs = weights
    state = theirs.state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    uncounted = {k: v for k, v in state.items() if "num_batches" not in k}
    save_file(uncounted, tmp_path / "theirs.safetensors")
    ours = tmp_path / "ours.pth"
    for number, source in enumerate((path, tmp_path / "theirs.safetensors")):
        status, *_ = import_half(nas, source, tmp_path / f"{number}.pt")
        assert status == 0
    torch.save(load_checkpoint(tmp_path / "0.pt").weights, ours)
    assert import_half(nas, ours, tmp_path / "2.pt")[0] == 0
    first = load_checkpoint(tmp_path / "0.pt").weights
    for number in (1, 2):
        other = load_checkpoint(tmp_path / f"{number}.pt").weights
        assert all(torch.equal(first[key], other[key]) for key in first if "num_batches" not in key)


def test_a_new_classifier_when_asked(nas, weights, tmp_path):
    path, theirs = weights
    import_half(nas, path, tmp_path / "seed.pt", "--classes", 4)
    seed = load_checkpoint(tmp_path / "seed.pt")
    assert seed.spec.head.classes == 4
    assert seed.weights["head.classifier.3.weight"].shape[0] == 4
    assert torch.equal(seed.weights["stem.0.weight"], theirs.state_dict()["features.0.0.weight"])


class Runs:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"features.0.0.weight": torch.zeros(24, 3, 3, 3)},
            "features.0.0.weight is 24x3x3x3 in the",
        ),
        ({"features.0.0.weight": None}, "features.0.0.weight is missing"),
        ({"extra": torch.zeros(1)}, "extra is not in the network"),
    ],
)
def test_another_network_s_weights_are_named(nas, weights, tmp_path, change, message):
    path, theirs = weights
    state = {k: v for k, v in (theirs.state_dict() | change).items() if v is not None}
    torch.save(state, path)
    status, _, err = import_half(nas, path, tmp_path / "seed.pt")
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "seed.pt").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no checkpoint", "not a torch file"),
        (pickle.dumps(Runs()), "not a torch file"),
        (b"", "not a torch file"),
    ],
)
def test_what_is_no_checkpoint_is_said(nas, tmp_path, capsys, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    status, out, err = import_half(nas, path, tmp_path / "seed.pt")
    assert status == 2
    assert message in err
    assert "ran" not in out


def test_code_in_a_checkpoint_does_not_run(nas, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"features.0.0.weight": Runs()}, path)
    status, out, err = import_half(nas, path, tmp_path / "seed.pt")
    assert (status, out) == (2, "")
    assert "contains more than weights" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--arch", "mobilenet_v9"), "no network 'mobilenet_v9'"),
        (("--arch", "mnasnet_a1"), "torchvision has no class"),
        (("--arch", "mobilenet_v2", "--width", "0"), "width must be a number above 0, got 0.0"),
        (("--arch", "mobilenet_v2", "--width", "-1"), "width must be a number above 0, got -1.0"),
        (("--arch", "mobilenet_v2", "--resolution", "0"), "resolution must be at least 1, got 0"),
        (("--arch", "mobilenet_v2", "--classes", "0"), "classes must be at least 1, got 0"),
        (("--arch", "mobilenet_v2", "--weights", "missing.pth"), "missing.pth: No such file"),
        (("--arch", "mobilenet_v2", "--weights", "missing.safetensors"), "missing.safetensors: "),
        (("--arch", "mobilenet_v2", "-o", "no/such/seed.pt"), "no folder no/such"),
    ],
)
def test_bad_input_to_import(nas, weights, arguments, message):
    status, _, err = nas("import", "--weights", weights[0], *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.fixture
def seed(nas, tmp_path, photos):
    """A tiny network trained on the photos for a moment."""
    small = tmp_path / "small.yaml"
    save(REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32), small)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps: 3\nbatch_size: 16\n")
    path = tmp_path / "small-trained.pt"
    status, out, err = nas("train", small, "--data", photos, "--recipe", recipe, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["path"] == str(path)
    assert 0 <= document["test_accuracy"] <= 1
    return path


def test_train_makes_a_seed_that_can_be_trained_on(nas, seed, photos, tmp_path):
    first = load_checkpoint(seed)
    assert first.usage.classes == ("dark", "light")
    assert first.spec.resolution == first.usage.trained_px == 32
    on = tmp_path / "on.pt"
    arguments = ("--data", photos, "--epochs", 1, "--batch-size", 16, "-o", on)
    status, _, err = nas("train", seed, *arguments)
    assert status == 0
    assert "fine-tuning on" in err
    second = load_checkpoint(on)
    # Trained on, not anew: a small step from where it was. The data's normalisation stays its own.
    moved = (second.weights["stem.0.weight"] - first.weights["stem.0.weight"]).norm()
    assert 0 < moved < 0.5 * first.weights["stem.0.weight"].norm()
    assert second.usage.mean == first.usage.mean
    scratch = (tmp_path / "anew.pt", "--from-scratch", "--seed", 1)
    status, *_ = nas("train", seed, *arguments[:-1], *scratch)
    anew = load_checkpoint(tmp_path / "anew.pt")
    assert status == 0
    assert not torch.equal(anew.weights["stem.0.weight"], first.weights["stem.0.weight"])


def test_training_is_the_same_again(nas, seed, photos, tmp_path):
    for name in ("one", "two"):
        arguments = ("--epochs", 1, "--batch-size", 16, "-o", tmp_path / f"{name}.pt")
        assert nas("train", seed, "--data", photos, *arguments)[0] == 0
    one, two = (load_checkpoint(tmp_path / f"{name}.pt").weights for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_evaluate_says_that_it_takes_a_part_of_a_folder_without_splits(nas, seed, photos):
    status, out, err = nas("evaluate", seed, "--data", photos)
    assert status == 0
    counted = int(out.split(" of ")[1].split()[0])
    assert f"has no test folder: evaluated the {counted} of its" in " ".join(err.split())
    assert "has no test folder" not in nas("evaluate", seed, "--data", photos, "--split", "all")[2]


def test_evaluate_counts_what_it_says(nas, seed, photos, tmp_path):
    status, out, _ = nas("evaluate", seed, "--data", photos, "--split", "all", "--json")
    assert status == 0
    document = json.loads(out)
    assert document["images"] == 100
    loaded = load_checkpoint(seed)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (loaded.usage.mean, loaded.usage.std))
    right, network = 0, loaded.network()
    for label, name in enumerate(loaded.usage.classes):
        for path in (photos / name).iterdir():
            pixels = torch.from_numpy(np.asarray(Image.open(path)).copy())
            image = (pixels.permute(2, 0, 1) / 255 - mean) / std
            with torch.inference_mode():
                right += int(network(image[None]).argmax()) == label
    assert document["accuracy"] == pytest.approx(right / 100)
    low, high = document["ci95"]
    assert low < right / 100 < high or right in (0, 100)


def test_unnamed_classes_are_the_data_s_in_order(nas, seed, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usage = replace(load_checkpoint(seed).usage, classes=("0", "1"), named=False)
    (tmp_path / "unnamed.pt").write_bytes(
        checkpoint_bytes(replace(load_checkpoint(seed), usage=usage))
    )
    figures = [
        json.loads(nas("evaluate", path, "--data", photos, "--json")[1])
        for path in (seed, "unnamed.pt")
    ]
    assert figures[0] == figures[1]


def test_classes_are_matched_by_name_not_by_place(nas, seed, photos, tmp_path):
    everything = json.loads(nas("evaluate", seed, "--data", photos, "--split", "all", "--json")[1])
    parts = []
    for name in ("dark", "light"):
        # A class alone beside an empty-handed friend would be no data set: a copy under another spelling.
        folder = tmp_path / f"only-{name}"
        (folder / "train" / name.upper()).parent.mkdir(parents=True)
        (folder / "train" / name.upper()).symlink_to(photos / name)
        other = "light" if name == "dark" else "dark"
        (folder / "train" / other).mkdir()
        for path in list((photos / other).iterdir())[:5]:
            (folder / "train" / other / path.name).symlink_to(path)
        document = json.loads(
            nas("evaluate", seed, "--data", folder, "--split", "all", "--json")[1]
        )
        parts.append(document)
    assert [part["images"] for part in parts] == [55, 55]
    assert everything["images"] == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("evaluate", "SEED", "--data", "PHOTOS", "--split", "some"),
            "split must be one of train,",
        ),
        (("evaluate", "SEED", "--data", "OTHERS"), "does not know the data's classes 'cat', 'dog'"),
        (("train", "SEED", "--data", "OTHERS", "-o", "x.pt"), "'cat' is not what the network was"),
        (
            ("train", "SEED", "--data", "THREE", "-o", "x.pt"),
            "the data has 3 classes, the network's head 2",
        ),
        (
            ("train", "SEED", "--data", "PHOTOS", "--width", "0.5"),
            "--width applies to reference networks",
        ),
        (
            ("train", "SEED", "--data", "PHOTOS", "--device", "cudax"),
            "device 'cudax' is not available",
        ),
        (("train", "SEED", "--data", "PHOTOS", "--epochs", "0"), "epochs"),
        (("train", "SEED", "--data", "PHOTOS", "--epochs", "inf"), "epochs"),
        (("evaluate", "mobilenet_v2@0.5", "--data", "PHOTOS"), "has no weights: train it first"),
        (("train", "SEED", "--data", "PHOTOS", "--learning-rate", "1e30"), "use a lower rate"),
        (("train", "SEED", "--data", "PHOTOS", "-o", "SEED"), "is the input file"),
        (
            ("train", "SEED", "--data", "PHOTOS", "--batch-size", "500"),
            "--batch-size is 500",
        ),
    ],
)
def test_bad_input_to_train_and_evaluate(
    nas, seed, photos, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    for folder, names in (("OTHERS", ("cat", "dog")), ("THREE", ("dark", "light", "new"))):
        for name, source in zip(names, ("dark", "light", "dark"), strict=False):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).symlink_to(photos / source)
    places = {
        "SEED": seed,
        "PHOTOS": photos,
        "OTHERS": tmp_path / "OTHERS",
        "THREE": tmp_path / "THREE",
    }
    small_batch = (
        ("--batch-size", 16) if arguments[0] == "train" and "--batch-size" not in arguments else ()
    )
    status, _, err = nas(*(places.get(a, a) for a in arguments), *small_batch)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1 or "with batch size" in err
    assert not (tmp_path / "x.pt").exists()


def test_files_are_called_after_the_whole_name(nas, weights, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = ("--data", photos, "--batch-size", 16, "--epochs", 0.2, "--resolution", 32)
    assert nas("train", "mobilenet_v3_small@0.35", *quick)[0] == 0
    assert (tmp_path / "mobilenet_v3_small-0.35-trained.pt").is_file()
    path, _ = weights
    assert nas("import", "--weights", path, "--arch", "mobilenet_v3_small@0.5")[0] == 0
    assert (tmp_path / "mobilenet_v3_small-0.5-seed.pt").is_file()


def test_a_new_classifier_is_drawn_by_the_seed(nas, weights, photos, tmp_path):
    path, _ = weights
    assert import_half(nas, path, tmp_path / "seed.pt")[0] == 0
    own = ("train", tmp_path / "seed.pt", "--data", photos, "--new-classifier", "--batch-size", 16)
    rest = ("--epochs", 0.2, "--learning-rate", 1e-12)  # the last layer stays as it was drawn
    drawn = []
    for seed in (0, 1, 1):
        made = tmp_path / "made.pt"
        assert nas(*own, *rest, "--seed", seed, "-o", made)[0] == 0
        drawn.append(list(load_checkpoint(made).weights.values())[-2])
    assert torch.allclose(drawn[1], drawn[2])
    assert not torch.allclose(drawn[0], drawn[1])


def test_train_does_not_write_over_what_it_made(nas, seed, photos):
    before = seed.with_name("small-trained.pt").read_bytes()
    quick = ("--data", photos, "--batch-size", 16, "--epochs", 0.2)
    assert nas("train", seed.with_name("small.yaml"), *quick)[0] == 0
    assert seed.with_name("small-trained.pt").read_bytes() == before
    assert seed.with_name("small-trained-2.pt").is_file()


def test_names_of_unnamed_classes_come_from_the_data(nas, weights, photos, tmp_path):
    import_half(nas, weights[0], tmp_path / "seed.pt", "--classes", 2)
    arguments = ("--data", photos, "--epochs", 1, "--batch-size", 16, "-o", tmp_path / "on.pt")
    assert nas("train", tmp_path / "seed.pt", *arguments)[0] == 0
    assert load_checkpoint(tmp_path / "on.pt").usage.classes == ("dark", "light")


def test_a_seed_is_no_checkpoint(nas, seed):
    status, _, err = nas("import", "--weights", seed, "--arch", "mobilenet_v3_small")
    assert status == 2
    assert "is a mobile-nas checkpoint already" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "x.pth"), "must end in .onnx, got x.pth"),
        (("--torchvision", "-o", "x.onnx"), "must end in .pth, got x.onnx"),
        (("--litert", "-o", "x.onnx"), "must end in .tflite, got x.onnx"),
    ],
)
def test_a_file_s_name_says_what_is_in_it(nas, seed, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = nas("export", seed, *options)
    assert status == 2
    assert message in err
    assert not list(tmp_path.glob("x.*"))


def test_a_new_classifier_for_other_data(nas, seed, photos, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name, source in (("cat", "dark"), ("dog", "light"), ("emu", "dark")):
        (other / name).symlink_to(photos / source)
    arguments = ("--data", other, "--epochs", 1, "--batch-size", 16, "-o", tmp_path / "on.pt")
    assert nas("train", seed, *arguments, "--new-classifier")[0] == 0
    assert load_checkpoint(tmp_path / "on.pt").usage.classes == ("cat", "dog", "emu")
    assert build(load_checkpoint(tmp_path / "on.pt").spec)(torch.rand(2, 3, 32, 32)).shape == (2, 3)
