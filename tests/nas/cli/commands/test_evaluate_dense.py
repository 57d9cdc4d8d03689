"""`nas train`, `nas export` and `nas evaluate` with boxes and with masks."""

import json

import numpy as np
import pytest
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.usage import Usage
from search_spaces import REFERENCES
from search_spaces.heads.named import with_head
from search_spaces.network import build


@pytest.fixture
def classifier(tmp_path):
    spec = REFERENCES["mobilenet_v3_small"](resolution=64, classes=5)
    usage = Usage(tuple("abcde"), 64, (0.5,) * 3, (0.25,) * 3)
    path = tmp_path / "classifier.pt"
    path.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
    return path


def photo(path, rng):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)


def boxes(root):
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for number in range(count):
            photo(root / split / f"{number}.png", rng)
            name = ("cat", "dog")[number % 2]
            (root / split / f"{number}.xml").write_text(
                f"<annotation><object><name>{name}</name><bndbox><xmin>8</xmin><ymin>6</ymin>"
                "<xmax>40</xmax><ymax>48</ymax></bndbox></object></annotation>"
            )
    return root


def masks(root):
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for number in range(count):
            photo(root / split / "images" / f"{number}.png", rng)
            mask = np.zeros((60, 80), np.uint8)
            mask[:, : 10 * (number % 4 + 1)] = 1
            path = root / split / "masks" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(mask).save(path)
    (root / "labels.txt").write_text("background\ncat\n")
    return root


@pytest.mark.parametrize(("make", "metric"), [(boxes, "AP"), (masks, "mIoU")])
def test_a_classifier_is_trained_exported_and_evaluated(nas, tmp_path, classifier, make, metric):
    data, trained = make(tmp_path / "data"), tmp_path / "trained.pt"
    code, out, err = nas(
        "train", classifier, "--data", data, "--epochs", 1, "--batch-size", 4,
        "--runs", tmp_path / "runs", "-o", trained, "--json",
    )  # fmt: skip
    assert code == 0, err
    assert "with a new" in " ".join(err.split())
    result = json.loads(out)
    assert 0 <= result[f"test_{metric}"] <= 1
    file = tmp_path / "trained.onnx"
    code, _, err = nas("export", trained, "-o", file)
    assert code == 0, err
    found = []
    for network in (trained, file):
        code, out, err = nas("evaluate", network, "--data", data, "--json")
        assert code == 0, err
        found.append(json.loads(out))
    # A training judges masks at one size for all images, nas evaluate each at its own.
    assert found[0][metric] == pytest.approx(
        result[f"test_{metric}"], abs=0.05 if metric == "mIoU" else 1e-6
    )
    assert found[1][metric] == pytest.approx(found[0][metric], abs=1e-3)
    assert [row["class"] for row in found[0]["by_class"]][-1] in ("cat", "dog")
    code, out, _ = nas("evaluate", trained, "--data", data)
    assert code == 0
    assert {"AP": "COCO's AP", "mIoU": "mean IoU"}[metric] in out


def test_images_with_another_kind_of_annotation_are_refused(nas, tmp_path, classifier):
    data = boxes(tmp_path / "data")
    code, _, err = nas("evaluate", classifier, "--data", data)
    assert code == 2
    assert "is annotated for the task detect, the network is for classify" in err
    code, _, err = nas("evaluate", classifier, "--data", tmp_path / "nowhere")
    assert code == 2
    assert "does not exist" in err


def test_files_of_a_network_with_a_named_head_have_no_colon(nas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = boxes(tmp_path / "data")
    code, _, err = nas(
        "train", "mobilenet_v3_small:ssdlite", "--data", data, "--resolution", 64, "--epochs", 1,
        "--batch-size", 4,
    )  # fmt: skip
    assert code == 0, err
    assert (tmp_path / "mobilenet_v3_small-ssdlite-trained.pt").is_file()


def test_masks_are_compared_in_the_size_of_each_image(nas, tmp_path):
    """Photos of different sizes: every pixel of every mask counts."""
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=64), "lraspp", classes=2)
    usage = Usage(("background", "cat"), 64, (0.5,) * 3, (0.25,) * 3, fit="stretch")
    seed = tmp_path / "seed.pt"
    seed.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
    data = masks(tmp_path / "data")
    cats = 0
    for number, (width, height) in enumerate([(30, 20), (70, 90), (64, 64), (11, 200)]):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data / "test" / "images" / f"{number}.png")
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2] = 1
        mask[0] = 255
        cats += int((mask == 1).sum())
        Image.fromarray(mask).save(data / "test" / "masks" / f"{number}.png")
    code, out, err = nas("evaluate", seed, "--data", data, "--json")
    assert code == 0, err
    rows = json.loads(out)["by_class"]
    assert [row["pixels"] for row in rows] == [
        30 * 10 + 70 * 45 + 64 * 32 + 11 * 100,
        cats,
    ]


def test_objects_are_small_or_large_in_the_size_of_their_image(nas, tmp_path):
    """A box of 32 x 42 pixels is of medium size at any size of the network's input."""
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=64), "ssdlite", classes=2)
    usage = Usage(("cat", "dog"), 64, (0.5,) * 3, (0.25,) * 3, fit="stretch")
    seed = tmp_path / "seed.pt"
    seed.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
    code, out, err = nas("evaluate", seed, "--data", boxes(tmp_path / "data"), "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["ap_small"], found["ap_large"]) == (None, None)
    assert found["ap_medium"] == pytest.approx(found["AP"])


def test_the_page_of_an_evaluation(nas, tmp_path):
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=64), "ssdlite", classes=2)
    usage = Usage(("cat", "dog"), 64, (0.5,) * 3, (0.25,) * 3, fit="stretch")
    seed, page = tmp_path / "seed.pt", tmp_path / "page.html"
    seed.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
    data = boxes(tmp_path / "data")
    code, _, err = nas("evaluate", seed, "--data", data, "--split", "all", "--report", page)
    assert code == 0, err
    assert f"{page}: open it in a browser" in err
    shown = page.read_text()
    assert "train/0.png" in shown or "test/0.png" in shown
    assert "data:image/jpeg" in shown
    assert page.stat().st_size < 7e6  # plotly.js has most of it


@pytest.mark.parametrize(
    ("page", "expected"),
    [("page.pdf", "give a name that ends with .html"), ("no/page.html", "no folder no")],
)
def test_wrong_names_of_the_page(nas, tmp_path, monkeypatch, page, expected):
    monkeypatch.chdir(tmp_path)
    code, _, err = nas("evaluate", "seed.pt", "--data", "nowhere", "--report", page)
    assert code == 2
    assert expected in err
