"""Evaluating, training on and quantising with folders that are not called exactly like the classes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.importing.pretrained import import_checkpoint
from nas.checkpoints.usage import Usage
from nas.export.models import open_model
from search_spaces import REFERENCES
from search_spaces.network import build

PX = 32
IMAGES = {"A": 3, "B": 4, "a": 5, "b": 6}  # as many as tell the classes apart


@pytest.fixture
def folders(tmp_path):
    """Makes a data set of noise: class names and how many images each has."""
    rng = np.random.default_rng(0)

    def make(counts, name="data"):
        for folder, count in counts.items():
            (tmp_path / name / folder).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (PX, PX, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / folder / f"{number}.png")
        return tmp_path / name

    return make


@pytest.fixture
def answering(tmp_path):
    """Makes a seed whose network gives every image the same class."""

    def make(classes, answer, *, named=True):
        spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=PX, classes=len(classes))
        weights = build(spec).state_dict()
        *_, weight, bias = weights
        weights |= {
            weight: torch.zeros_like(weights[weight]),
            bias: torch.eye(len(classes))[answer],
        }
        usage = Usage(tuple(classes), PX, (0.5,) * 3, (0.5,) * 3, named=named)
        path = tmp_path / "answering.pt"
        path.write_bytes(checkpoint_bytes(Checkpoint(spec, weights, usage)))
        return path

    return make


@pytest.fixture
def right(nas):
    """How many of the images get their right class, and what is said."""

    def evaluate(seed, data, *more):
        status, out, err = nas("evaluate", seed, "--data", data, "--split", "all", "--json", *more)
        assert status == 0, err
        document = json.loads(out)
        return round(document["accuracy"] * document["images"]), err

    return evaluate


@pytest.mark.parametrize("lacking", sorted(IMAGES))
@pytest.mark.parametrize("answer", range(4))
def test_letters_of_both_cases_are_told_apart(answering, folders, right, lacking, answer):
    seed = answering(sorted(IMAGES), answer)
    present = {name: count for name, count in IMAGES.items() if name != lacking}
    assert right(seed, folders(present)) == (present.get(sorted(IMAGES)[answer], 0), "")


@pytest.mark.parametrize("answer", range(4))
def test_signs_are_told_apart(answering, folders, right, answer):
    classes = sorted(["-90", "0", "90", "180"])
    present = {"0": 3, "180": 4, "90": 5}
    assert right(answering(classes, answer), folders(present)) == (
        present.get(classes[answer], 0),
        "",
    )


def test_imagenet_s_two_cardigans(answering, folders, right, tmp_path):
    """One is a dog (264), one a garment (474)."""
    weights = build(REFERENCES["mobilenet_v2"](width=0.1)).state_dict()
    torch.save(weights, tmp_path / "w.pth")
    named = import_checkpoint(
        REFERENCES["mobilenet_v2"](width=0.1), tmp_path / "w.pth"
    ).usage.classes
    assert [named[264], named[474]] == ["Cardigan", "cardigan"]
    data = folders({"Cardigan": 3, "granny_smith": 4})
    got, err = right(answering(named, 264), data)
    assert got == 3
    assert "matched 1 class by looser spelling: 'granny_smith' = 'Granny Smith'" in err
    assert right(answering(named, 474), data)[0] == 0
    (tmp_path / "map.yaml").write_text("Cardigan: 474\ngranny_smith: Granny Smith\n")
    assert right(answering(named, 474), data, "--classes", tmp_path / "map.yaml") == (3, "")


def test_ambiguous_folders_are_listed(nas, answering, folders):
    seed = answering(["Cardigan", "cardigan", "jay"], 0)
    data = folders({"CARDIGAN": 3, "jay": 3})
    status, out, err = nas("evaluate", seed, "--data", data)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "'CARDIGAN' could be 'Cardigan' (0) or 'cardigan' (1)" in err
    assert "--classes FILE" in err


def test_placeholder_names_are_not_matched(nas, answering, folders, right, tmp_path):
    """Folders 0 to 11 in their order are 0, 1, 10, 11, 2, ...: class 2 is not folder 2."""
    classes = [str(number) for number in range(12)]
    counts = {name: 3 + (name == "10") for name in classes}
    seed = answering(classes, 2, named=False)
    got, err = right(seed, folders(counts))
    assert got == 4
    assert "have no names, so they are matched to the folders in order" in err
    fewer = folders({name: 3 for name in classes if name != "0"}, "fewer")
    status, _, err = nas("evaluate", seed, "--data", fewer)
    assert (status, err.count("\n")) == (2, 1)
    assert "12 classes have no names, and the data has 11" in err
    assert "give --classes FILE" in err
    (tmp_path / "names.txt").write_text("\n".join(sorted(classes)) + "\n")
    assert right(seed, fewer, "--classes", tmp_path / "names.txt")[0] == 3


def test_a_network_trained_on_numbered_folders_keeps_their_names(
    nas, answering, folders, right, tmp_path
):
    classes = [str(number) for number in range(12)]
    seed = answering(classes, 2, named=False)
    data = folders(dict.fromkeys(classes, 5))
    quick = ("--epochs", 0.5, "--batch-size", 16, "--learning-rate", 1e-9, "--resolution", PX)
    status, _, err = nas("train", seed, "--data", data, *quick, "-o", tmp_path / "on.pt")
    assert status == 0
    assert "matched to the folders in order" in err
    usage = load_checkpoint(tmp_path / "on.pt").usage
    assert (usage.named, usage.classes) == (True, tuple(sorted(classes)))
    fewer = folders({name: 3 + (name == "10") for name in classes if name != "0"}, "fewer")
    assert right(tmp_path / "on.pt", fewer) == (4, "")


def test_training_on_takes_a_class_file(nas, answering, folders, tmp_path):
    seed = answering(["0", "1"], 0, named=False)
    data = folders({"dim": 10, "lit": 10})
    (tmp_path / "names.txt").write_text("Lit\nDim\n")
    quick = ("--epochs", 0.5, "--batch-size", 4, "--resolution", PX, "-o", tmp_path / "on.pt")
    options = ("--classes", tmp_path / "names.txt")
    status, _, err = nas("train", seed, "--data", data, *quick, *options)
    assert status == 0
    assert "matched 2 classes by looser spelling" in err
    assert load_checkpoint(tmp_path / "on.pt").usage.classes == ("Lit", "Dim")
    (tmp_path / "map.json").write_text('{"dim": 1, "lit": 0}')
    options = ("--classes", tmp_path / "map.json", "-o", tmp_path / "again.pt")
    assert nas("train", seed, "--data", data, *quick[:-2], *options)[0] == 0
    assert load_checkpoint(tmp_path / "again.pt").usage.classes == ("lit", "dim")


def test_an_import_stores_names(nas, tmp_path):
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, classes=2, convention="torchvision")
    torch.save(build(spec).state_dict(), tmp_path / "w.pth")
    (tmp_path / "names.txt").write_text("dog\ncat\n")
    base = ("import", "--weights", tmp_path / "w.pth", "--arch", "mobilenet_v3_small@0.35")
    for number, (options, said) in enumerate(
        (
            ((), "without names (set them with --classes FILE"),
            (("--classes", tmp_path / "names.txt"), "of 2 classes\n"),
        )
    ):
        status, _, err = nas(*base, "-o", tmp_path / f"{number}.pt", *options)
        assert status == 0
        assert said in err
        usage = load_checkpoint(tmp_path / f"{number}.pt").usage
        assert usage.named is bool(options)
    assert usage.classes == ("dog", "cat")
    (tmp_path / "map.yaml").write_text("a: 0\nb: 1\n")
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    for file, said in (
        ("map.yaml", "maps folders to classes"),
        ("three.txt", "has 3 class names, the network has 2 classes"),
        ("absent.txt", "absent.txt does not exist"),
    ):
        status, _, err = nas(*base, "-o", tmp_path / "no.pt", "--classes", tmp_path / file)
        assert (status, err.count("\n")) == (2, 1)
        assert said in err


def test_int8_needs_to_know_which_class_is_which(nas, answering, folders, tmp_path):
    seed = answering(["0", "1", "2"], 2, named=False)
    data = folders({"dim": 8, "lit": 8})
    status, _, err = nas("export", seed, "--int8", "--data", data)
    assert status == 2
    assert "3 classes have no names, and the data has 2" in err
    (tmp_path / "names.txt").write_text("other\ndim\nlit\n")
    options = ("--data", data, "--classes", tmp_path / "names.txt", "--json")
    status, out, _ = nas("export", seed, "--int8", *options)
    assert status == 0
    assert json.loads(out)["before"]["accuracy"] == pytest.approx(0.5)
    status, _, err = nas("export", seed, "--classes", tmp_path / "names.txt")
    assert status == 2
    assert "applies to the images of --int8" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mobilenet_v2", "--new-classifier"), "mobilenet_v2 has no weights, so no classifier"),
        (("mobilenet_v2@0.5", "--new-classifier"), "nas import --arch mobilenet_v2@0.5 --weights"),
        (("SPEC", "--new-classifier"), "give the seed.pt from its training"),
        (("SEED", "--new-classifier", "--from-scratch"), "leave --new-classifier out"),
        (("mobilenet_v2", "--classes", "x.txt"), "mobilenet_v2 has no weights"),
        (("SEED", "--new-classifier", "--classes", "x.txt"), "leave one out"),
        (("SEED", "--classes", "x.txt"), "x.txt does not exist"),
        (("mobilenet_v22", "--new-classifier"), "no network 'mobilenet_v22'"),
    ],
)
def test_a_classifier_is_replaced_only_where_there_is_one(
    nas, answering, tmp_path, arguments, message
):
    """Before the data is read: the folder does not exist."""
    seed = answering(["a", "b"], 0)
    from search_spaces.spec import save

    save(REFERENCES["mobilenet_v3_small"](width=0.35), tmp_path / "spec.yaml")
    places = {"SEED": seed, "SPEC": tmp_path / "spec.yaml"}
    status, _, err = nas("train", *(places.get(a, a) for a in arguments), "--data", "no/such")
    assert (status, err.count("\n")) == (2, 1)
    assert message in err


def test_a_warm_start_from_outside_of_the_space_shows_the_pretrained_way(
    nas_search, answering, folders, tmp_path
):
    data = folders({"a": 120, "b": 120})
    common = ("--data", data, "--target-ms", 1, "--device", "madds:1", "--workers", 0)
    seed = answering(["a", "b"], 0)
    kept = load_checkpoint(seed)
    three = replace(kept, usage=replace(kept.usage, classes=("x", "y", "z")))
    (tmp_path / "three.pt").write_bytes(checkpoint_bytes(three.with_classes(("x", "y", "z"))))
    torch.save(load_checkpoint(seed).weights, tmp_path / "weights.pth")
    for path, said, pretrained in (
        (seed, "not in space mnasnet: stem ", True),
        (tmp_path / "three.pt", "has 3 classes, the search has 2", True),
        (tmp_path / "weights.pth", "convert it by nas import", False),
        ("mobilenet_v2", "is a network's name, without weights", False),
    ):
        status, _, err = nas_search(*common, "--trials", 10, "--warm-start", path)
        assert status == 2
        line = err.strip().splitlines()[-1]
        assert said in line
        assert ("nas train --new-classifier" in line) is pretrained
        assert "Spec(" not in err, line


@pytest.mark.parametrize(
    ("folder", "answer", "accuracy"),
    [
        ("dog", 5, 0.5),
        pytest.param("4", 3, 0.5, marks=pytest.mark.long),
        pytest.param("4", 4, 0.0, marks=pytest.mark.long),
    ],
)
@pytest.mark.slow
def test_int8_keeps_placeholders_if_not_all_classes_get_names(
    nas, answering, folders, tmp_path, folder, answer, accuracy
):
    """A file with the names 0, 1, 2, cat, 4 would match a folder 4 as if that were a name."""
    seed = answering([str(number) for number in range(12)], answer, named=False)
    place = 3 if folder == "4" else 5
    (tmp_path / "map.yaml").write_text(f"cat: {8 - place}\n'{folder}': {place}\n")
    options = ("--data", folders({"cat": 8, folder: 8}), "--classes", tmp_path / "map.yaml")
    output = tmp_path / "small.onnx"
    status, out, err = nas("export", seed, "--int8", *options, "-o", output, "--json")
    assert status == 0, err
    assert json.loads(out)["after"]["accuracy"] == pytest.approx(accuracy)
    usage = open_model(output).feed.usage
    assert (usage.named, usage.classes) == (False, load_checkpoint(seed).usage.classes)


@pytest.mark.slow
def test_int8_stores_names_if_all_classes_get_one(nas, answering, folders, tmp_path):
    seed = answering(["0", "1"], 1, named=False)
    (tmp_path / "map.yaml").write_text("cat: 1\ndog: 0\n")
    options = ("--data", folders({"cat": 8, "dog": 8}), "--classes", tmp_path / "map.yaml")
    output = tmp_path / "small.onnx"
    status, _, err = nas("export", seed, "--int8", *options, "-o", output)
    assert status == 0, err
    usage = open_model(output).feed.usage
    assert (usage.named, usage.classes) == (True, ("dog", "cat"))
