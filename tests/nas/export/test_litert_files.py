"""LiteRT files say how to feed them, and predict as the checkpoint does; zipfile reads their archive."""

import importlib.util
import io
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latency import Device, Latency
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.feeding import Feed
from nas.cli.main import main
from nas.export.models import of_checkpoint, open_model
from search_spaces import InputError
from tests.deploying import CLASSES, PX, dataset, trained_checkpoint

pytestmark = [
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("litert_torch", "ai_edge_litert")),
        reason="the extra is not installed: pip install 'mobile-nas[litert]'",
    ),
    pytest.mark.slow,
]
KINDS = {
    "float": (),
    "pixels": ("--with-preprocessing",),
    "int8": ("--int8", "--data", "photos"),
    "pixels-int8": ("--with-preprocessing", "--int8", "--data", "photos"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint, photos, and each kind of file that is exported from it, by the command."""
    folder = tmp_path_factory.mktemp("litert")
    (folder / "seed.pt").write_bytes(checkpoint_bytes(trained_checkpoint()))
    data = dataset()
    for number, (image, label) in enumerate(
        zip(data.train.images[:120], data.train.labels[:120], strict=True)
    ):
        place = folder / "photos" / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(place / f"{number}.png")
    exact = Latency.exactly(1.0, Device("lab", "lab"))
    with pytest.MonkeyPatch.context() as patched:
        from nas.export import litert_export

        untimed = replace(litert_export.LITERT, latencies=lambda models: [exact for _ in models])
        patched.setattr(litert_export, "LITERT", untimed)
        patched.chdir(folder)
        for kind, options in KINDS.items():
            call = ["nas", "export", "seed.pt", "--litert", *options, "-o", f"{kind}.tflite"]
            patched.setattr(sys, "argv", call)
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 0
    return folder


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [
        ("float", "float32", "normalized"),
        ("pixels", "uint8", "pixels"),
        ("int8", "int8", "normalized"),
        ("pixels-int8", "uint8", "pixels"),
    ],
)
def test_every_kind_says_how_to_feed_it_and_is_as_good(files, kind, dtype, values):
    path = files / f"{kind}.tflite"
    model = open_model(path)
    assert (model.feed.dtype, model.feed.values, model.feed.layout) == (dtype, values, "NHWC")
    assert model.feed.usage == trained_checkpoint().usage
    assert (model.feed.quantization is not None) == (dtype == "int8")
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        labels = archive.read("labels.txt").decode().splitlines()
        inside = json.loads(archive.read("mobile_nas.json"))
    assert labels == list(CLASSES)
    assert inside == model.feed.to_dict()
    beside = json.loads((files / f"{kind}.json").read_text())
    assert beside == {"file": path.name} | inside
    exact = of_checkpoint(trained_checkpoint())
    test = dataset().test
    answers = [each.logits(test.images).argmax(axis=1) for each in (exact, model)]
    assert np.mean(answers[1] == test.labels) > 0.9
    if "int8" in kind:
        assert np.mean(answers[0] == answers[1]) > 0.9
    else:
        logits = [each.logits(test.images[:8]) for each in (exact, model)]
        assert np.allclose(*logits, atol=1e-3)


def test_the_input_is_what_the_interpreter_says(files):
    from ai_edge_litert.interpreter import Interpreter

    for kind, dtype in (("float", "float32"), ("int8", "int8"), ("pixels-int8", "uint8")):
        interpreter = Interpreter(model_path=str(files / f"{kind}.tflite"))
        interpreter.allocate_tensors()
        (given,) = interpreter.get_input_details()
        assert given["shape"].tolist() == [1, PX, PX, 3]
        assert given["dtype"] == np.dtype(dtype)
        said = json.loads((files / f"{kind}.json").read_text())["quantization"]
        if kind == "int8":
            assert given["quantization"] == pytest.approx((said["scale"], said["zero_point"]))
        else:
            assert said is None


@pytest.fixture
def nas(files, monkeypatch, capsys):
    monkeypatch.chdir(files)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return command


def test_predict_and_evaluate_take_it_also_renamed(nas, files, tmp_path):
    moved = tmp_path / "model.bin"
    moved.write_bytes((files / "pixels-int8.tflite").read_bytes())
    code, out, err = nas("evaluate", moved, "--data", "photos", "--split", "all", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["accuracy"] > 0.9
    code, out, _ = nas("predict", moved, "photos", "--json")
    predicted = json.loads(out)
    right = [one["predictions"][0]["class"] == Path(one["path"]).parent.name for one in predicted]
    assert np.mean(right) == document["accuracy"]


def test_odd_class_names_survive(files, tmp_path):
    from nas.export.litert_file import describe_litert, stamp_litert

    content = (files / "float.tflite").read_bytes()
    for names in (("a\nb", "c\r\nd", "猫"), ("\udce9", "", 'q"'), tuple("abc")):
        usage = replace(trained_checkpoint().usage, classes=names)
        feed = describe_litert(content, usage)
        from nas.export.litert_file import open_litert

        path = tmp_path / "odd.tflite"
        path.write_bytes(stamp_litert(content_without(content), feed))
        assert open_model(path).feed.classes == names
        with zipfile.ZipFile(path) as archive:
            assert archive.read("labels.txt").count(b"\n") == 3
        assert open_litert(path.read_bytes()).takes.size_px == PX


def content_without(content):
    """A file as another program would write it: without our description."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    model.metadata = [entry for entry in model.metadata if entry.name != b"mobile_nas"]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def test_a_foreign_file_needs_a_side_car(files, tmp_path):
    path = tmp_path / "theirs.tflite"
    path.write_bytes(content_without((files / "float.tflite").read_bytes()))
    with pytest.raises(InputError, match=r"theirs\.json next to it"):
        open_model(path)
    usage = trained_checkpoint().usage
    said = {"classes": list(CLASSES), "mean": list(usage.mean), "std": list(usage.std)}
    (tmp_path / "theirs.json").write_text(json.dumps(said))
    pixels = dataset().test.images[:4]
    expected = open_model(files / "float.tflite").logits(pixels)
    assert np.array_equal(open_model(path).logits(pixels), expected)
    with pytest.raises(InputError, match="takes images of 32 px, --resolution is 48"):
        open_model(path, px=48)


def test_cut_files_are_one_line(files, tmp_path):
    whole = (files / "float.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    for part in (0, 1, 8, 12, 100, 1000, len(whole) // 4, len(whole) // 2):
        path.write_bytes(whole[:part])
        with pytest.raises(InputError) as error:
            open_model(path)
        assert "\n" not in str(error.value)


def test_damage_is_found_before_litert_sees_it(files, tmp_path):
    """LiteRT ends the process on some of these."""
    whole = (files / "float.tflite").read_bytes()
    path = tmp_path / "damaged.tflite"
    for place in np.random.default_rng(0).integers(8, len(whole) * 3 // 4, 50).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with pytest.raises(InputError, match="its checksum does not match"):
            open_model(path)


def test_a_seed_exported_twice_keeps_both_side_cars(nas, files):
    assert nas("export", "seed.pt", "-o", "float.onnx")[0] == 0
    assert json.loads((files / "float.json").read_text())["file"] == "float.tflite"
    assert json.loads((files / "float.onnx.json").read_text())["layout"] == "NCHW"
    assert open_model(files / "float.onnx").feed == Feed.of(trained_checkpoint())


def test_a_checkpoint_of_a_thousand_classes(tmp_path):
    from nas.export.litert_export import checked_litert
    from nas.export.litert_file import describe_litert, stamp_litert
    from search_spaces.network import build
    from tests.deploying import small_spec

    usage = replace(trained_checkpoint().usage, classes=tuple(f"class {n}" for n in range(1000)))
    seed = Checkpoint(small_spec(1000), build(small_spec(1000)).state_dict(), usage)
    model = checked_litert(seed.network())
    path = tmp_path / "many.tflite"
    path.write_bytes(stamp_litert(model, describe_litert(model, usage)))
    pixels = dataset().test.images[:2]
    found = open_model(path)
    assert found.feed.classes == usage.classes
    assert np.allclose(found.logits(pixels), of_checkpoint(seed).logits(pixels), atol=1e-4)
