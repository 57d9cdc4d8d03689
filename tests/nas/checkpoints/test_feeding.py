"""What files say about how to feed them, and what is refused."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.feeding import KEY, Feed
from nas.checkpoints.usage import Usage
from nas.export.models import of_onnx, open_model
from nas.export.onnx_export import keep_onnx
from nas.tasks.augmentation.augment import normalize
from search_spaces import InputError
from search_spaces.network import build
from tests.deploying import PX, small_spec

ODD_NAMES = (
    "",
    "comma, name",
    "'quotes\" both'",
    "two\nlines",
    "naïve 猫 🐈",
    "x" * 500,
    "\udce9",
    "[b]",
)
USAGE = Usage(ODD_NAMES, 24, (0.4, 0.5, 0.6), (0.2, 0.21, 0.22), "#102030")
FEED = Feed(USAGE, PX)
LEAST = {"classes": ["a", "b"], "size_px": 32, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}


@pytest.fixture(scope="module")
def seed():
    spec = small_spec(len(ODD_NAMES))
    return Checkpoint(spec, build(spec).state_dict(), USAGE)


@pytest.mark.parametrize(
    "feed",
    [
        FEED,
        replace(FEED, layout="NHWC", dtype="uint8", values="pixels"),
        replace(FEED, layout="NHWC", dtype="int8", quantization=(0.1, -3)),
        replace(FEED, outputs="probabilities", version=""),
        replace(FEED, usage=replace(USAGE, crop=0.875)),
        replace(FEED, usage=replace(USAGE, named=False, classes=tuple(map(str, range(1000))))),
    ],
)
def test_a_description_survives_json(feed):
    assert Feed.from_json(feed.to_json(), where="f") == feed
    assert feed.to_json().isascii()
    assert "\n" not in feed.to_json()


def test_little_is_needed_of_somebody_else():
    feed = Feed.from_dict(LEAST, where="f")
    assert (feed.usage.trained_px, feed.usage.background, feed.layout) == (32, "white", "NCHW")
    without = {key: value for key, value in LEAST.items() if key != "size_px"}
    assert Feed.from_dict(without, where="f", size_px=48).size_px == 48


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "upgrade mobile-nas"),
        ({"schema": "new"}, "schema 'new'"),
        ({"classes": None}, "'classes' is missing"),
        ({"classes": []}, "a list of names, got []"),
        ({"classes": ["a", 1]}, "a list of names"),
        ({"classes": "ab"}, "a list of names"),
        ({"size_px": None}, "'size_px' is missing"),
        ({"size_px": 0}, "a whole number from 1"),
        ({"size_px": 32.5}, "a whole number"),
        ({"size_px": True}, "a whole number"),
        ({"size_px": 10**9}, "a whole number"),
        ({"mean": None}, "'mean' is missing"),
        ({"mean": [0.5, 0.5]}, "three numbers"),
        ({"mean": [0.5, 0.5, math.nan]}, "three numbers"),
        ({"mean": ["0", "0", "0"]}, "three numbers"),
        ({"std": [0.2, 0.0, 0.2]}, "three numbers above 0"),
        ({"background": "no colour"}, "a color such as"),
        ({"background": 7}, "a color such as"),
        ({"channels": "BGR"}, "must be RGB, got 'BGR'"),
        ({"resize": "nearest"}, "must be bilinear"),
        (
            {"crop": "center-square", "crop_fraction": 0.875},
            "must be 1, as its 'crop' is center-square",
        ),
        ({"crop_fraction": 0.875}, "must be 1, as its 'crop' is center-square, got 0.875"),
        ({"crop": "center-fraction"}, "'crop_fraction' is missing"),
        ({"crop": "center-fraction", "crop_fraction": 0}, "a number from 0.1 to 1, got 0"),
        ({"crop": "center-fraction", "crop_fraction": "0.9"}, "a number from 0.1 to 1"),
        ({"crop": "center-fraction", "crop_fraction": math.nan}, "a number from 0.1 to 1"),
        ({"crop": "smart"}, "must be center-square or center-fraction or stretch, got 'smart'"),
        ({"layout": "HWC"}, "NCHW or NHWC"),
        ({"values": ["pixels"]}, "normalized or pixels"),
        ({"quantization": {"scale": 1}}, "scale and zero_point"),
    ],
)
def test_what_cannot_be_true_is_one_line(change, reason):
    with pytest.raises(InputError) as error:
        Feed.from_dict(LEAST | change, where="net.json")
    assert reason in str(error.value)
    assert str(error.value).startswith("net.json: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "[" * 100_000, b"\xff\xfe", "null"])
def test_what_is_no_json_object_is_one_line(text):
    with pytest.raises(InputError, match="its description is"):
        Feed.from_json(text, where="f")


def test_pixels_are_prepared_as_in_training():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)
    expected = normalize(torch.from_numpy(pixels), mean=USAGE.mean, std=USAGE.std).numpy()
    assert np.array_equal(FEED.prepare(pixels), expected)
    assert np.array_equal(replace(FEED, values="pixels").prepare(pixels), pixels)


def test_a_run_s_onnx_and_its_checkpoint_say_the_same(seed, tmp_path):
    keep_onnx(tmp_path / "best.onnx", seed)
    model = onnx.load(tmp_path / "best.onnx")
    onnx.checker.check_model(model)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["classes"]) == list(ODD_NAMES)
    session = ort.InferenceSession(tmp_path / "best.onnx")
    read = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    beside = json.loads((tmp_path / "best.json").read_text())
    assert beside == {"file": "best.onnx"} | read
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(seed))
    content = torch.load(tmp_path / "seed.pt", weights_only=True)
    assert content["feed"] == read
    assert read["classes"] == list(ODD_NAMES)
    assert (read["size_px"], read["trained_px"]) == (PX, 24)
    assert of_onnx((tmp_path / "best.onnx").read_bytes()).feed == Feed.of(seed)


def test_checkpoints_from_before_load(seed, tmp_path):
    path = tmp_path / "old.pt"
    path.write_bytes(checkpoint_bytes(seed))
    content = torch.load(path, weights_only=True)
    del content["feed"], content["usage"]["named"], content["usage"]["background"]
    del content["usage"]["crop"]
    torch.save(content, path)
    assert load_checkpoint(path).usage == replace(USAGE, background="black")
    assert open_model(path).feed.classes == ODD_NAMES


def test_a_crop_is_in_every_file_and_refused_by_earlier_versions(seed, tmp_path):
    """Version 0.1 reads "mobile-nas seed 1" alone, and descriptions whose `crop` is center-square."""
    path, cropped = tmp_path / "crop.pt", replace(seed, usage=replace(USAGE, crop=0.875))
    for checkpoint, form, crop in ((seed, 1, "square"), (cropped, 2, "fraction")):
        path.write_bytes(checkpoint_bytes(checkpoint))
        content = torch.load(path, weights_only=True)
        assert content["format"] == f"mobile-nas seed {form}"
        assert content["feed"]["crop"] == f"center-{crop}"
        assert load_checkpoint(path).usage == checkpoint.usage
        assert open_model(path).feed.usage.crop == content["feed"]["crop_fraction"]
    keep_onnx(tmp_path / "crop.onnx", cropped)
    assert open_model(tmp_path / "crop.onnx").feed == Feed.of(cropped)
    without = Feed.of(seed).to_dict()
    del without["crop_fraction"], without["crop"]
    assert Feed.from_dict(without, where="f").usage.crop == 1


@pytest.mark.parametrize("crop", [0, 1.5, float("nan"), "most", None])
def test_a_checkpoint_with_an_impossible_crop_is_refused(seed, tmp_path, crop):
    content = torch.load(io.BytesIO(checkpoint_bytes(seed)), weights_only=True)
    content["usage"]["crop"] = crop
    torch.save(content, tmp_path / "wrong.pt")
    with pytest.raises(InputError, match=r"wrong\.pt: damaged checkpoint"):
        load_checkpoint(tmp_path / "wrong.pt")


def test_a_checkpoint_with_names_of_other_classes_is_refused(seed, tmp_path):
    path = tmp_path / "wrong.pt"
    path.write_bytes(checkpoint_bytes(replace(seed, usage=replace(USAGE, classes=("a", "b")))))
    with pytest.raises(InputError, match="2 class names for 8 classes"):
        open_model(path)
