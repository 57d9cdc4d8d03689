"""One model whatever the file: renamed, moved, of other exporters, damaged."""

import contextlib
import json
import logging
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.checkpoints.feeding import KEY, Feed
from nas.export.evaluation.answers import evidence_of, score_file
from nas.export.models import of_checkpoint, open_model
from nas.export.onnx_export import checked_onnx, keep_onnx, with_preprocessing
from nas.export.onnx_file import describe_onnx, open_onnx, stamp_onnx
from nas.export.quantize import calibration_images, quantize_onnx
from nas.export.running import as_logits
from nas.export.sidecar import write_sidecar
from search_spaces import InputError
from tests.deploying import CLASSES, PX, dataset, trained_checkpoint

LEAST = {"classes": list(CLASSES), "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}


@pytest.fixture(scope="module")
def seed():
    return trained_checkpoint()


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def content(seed):
    model = checked_onnx(seed.network())
    return stamp_onnx(model, describe_onnx(model, seed.usage))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 3, PX, PX)).astype(np.uint8)


def foreign(tmp_path, shape, *, dtype=TensorProto.FLOAT, outputs=3, inputs=1, opset=17):
    """A network of another exporter: the mean of each channel, in `shape`'s layout."""
    given = [helper.make_tensor_value_info(f"x{i}", dtype, shape) for i in range(inputs)]
    axes = [1, 2] if shape[-1] == 3 else [2, 3]
    nodes = [
        helper.make_node("Cast", ["x0"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["y"], axes=axes, keepdims=0),
    ]
    known = [None, outputs] if len(shape) == 4 else None
    got = helper.make_tensor_value_info("y", TensorProto.FLOAT, known)
    graph = helper.make_graph(nodes, "g", given, [got])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = tmp_path / "theirs.onnx"
    onnx.save(model, path)
    return path


def test_files_are_known_by_their_content(seed, content, tmp_path, pixels):
    (tmp_path / "network").write_bytes(content)
    (tmp_path / "model.tflite").write_bytes(content)
    (tmp_path / "model.bin").write_bytes(checkpoint_bytes(seed))
    expected = of_checkpoint(seed).logits(pixels)
    for name in ("network", "model.tflite", "model.bin"):
        model = open_model(tmp_path / name)
        assert model.feed == Feed.of(seed)
        assert np.allclose(model.logits(pixels), expected, atol=1e-4)


def test_probabilities_are_a_softmax(content, tmp_path, pixels):
    (tmp_path / "m.onnx").write_bytes(content)
    model = open_model(tmp_path / "m.onnx")
    expected = torch.softmax(torch.from_numpy(model.logits(pixels)), dim=1).numpy()
    assert np.allclose(model.probabilities(pixels), expected, atol=1e-6)
    huge = replace(model, run=lambda images: np.array([[1e4, -1e4, 0.0]], np.float32))
    assert huge.probabilities(pixels).tolist() == [[1, 0, 0]]
    done = replace(model, feed=replace(model.feed, outputs="probabilities"))
    assert np.array_equal(done.probabilities(pixels), model.logits(pixels))


def test_a_file_with_preprocessing_takes_pixels(seed, tmp_path, pixels):
    model = checked_onnx(with_preprocessing(seed), dynamic_batch=True)
    session = ort.InferenceSession(model)
    (given,) = session.get_inputs()
    assert (given.name, given.shape, given.type) == ("image", ["batch", PX, PX, 3], "tensor(uint8)")
    expected = of_checkpoint(seed).logits(pixels)
    (together,) = session.run(None, {"image": pixels.transpose(0, 2, 3, 1)})
    assert np.allclose(together, expected, atol=1e-4)
    path = tmp_path / "pixels.onnx"
    path.write_bytes(stamp_onnx(model, describe_onnx(model, seed.usage)))
    opened = open_model(path)
    assert (opened.feed.values, opened.feed.dtype, opened.feed.layout) == (
        "pixels",
        "uint8",
        "NHWC",
    )
    assert np.allclose(opened.logits(pixels), expected, atol=1e-4)


def test_int8_takes_pixels_too(seed, data, tmp_path):
    images = calibration_images(data.train, seed.usage, pixels=True)
    assert images.dtype == np.uint8
    model = quantize_onnx(checked_onnx(with_preprocessing(seed)), images)
    graph = onnx.load_from_string(model).graph
    made_by = {node.output[0]: node.op_type for node in graph.node}
    first = next(node for node in graph.node if node.op_type == "Conv")
    assert [made_by[name] for name in first.input] == ["DequantizeLinear"] * 3
    # Normalization itself stays in float.
    normalising = [node for node in graph.node if node.op_type in ("Sub", "Div")]
    assert len(normalising) == 2
    assert not {made_by.get(name) for node in normalising for name in node.input} & {
        "DequantizeLinear"
    }
    path = tmp_path / "int8.onnx"
    path.write_bytes(stamp_onnx(model, describe_onnx(model, seed.usage)))
    exact = evidence_of(of_checkpoint(seed), data.test, task="classify")
    assert exact.accuracy > 0.9
    found = evidence_of(open_model(path), data.test, task="classify")
    assert np.mean(found.given == exact.given) > 0.9


def test_score_file_scores_bytes_and_files(seed, data, content, tmp_path):
    (tmp_path / "best.onnx").write_bytes(content)
    found = score_file(content, data.val)
    assert found == score_file(tmp_path / "best.onnx", data.val)
    inputs = Feed.of(seed).prepare(data.val.images)
    given = seed.network()(torch.from_numpy(inputs)).argmax(dim=1).numpy()
    assert found.accuracy == np.mean(given == data.val.labels)
    assert found.images == len(data.val)


def test_the_file_wins_over_its_side_car(seed, content, tmp_path, caplog):
    path = tmp_path / "best.onnx"
    keep_onnx(path, seed)
    beside = json.loads((tmp_path / "best.json").read_text())
    with caplog.at_level(logging.WARNING):
        assert open_model(path).feed == Feed.of(seed)
    assert not caplog.records
    (tmp_path / "best.json").write_text(json.dumps(beside | {"mean": [0, 0, 0]}))
    assert open_model(path).feed == Feed.of(seed)
    assert "best.json differs from the description in" in caplog.text
    for damaged in ("", "[]", "\0", json.dumps({"schema": 99})):
        (tmp_path / "best.json").write_text(damaged)
        assert open_model(path).feed == Feed.of(seed)


def test_side_cars_replace_only_their_own(seed, tmp_path):
    feed = Feed.of(seed)
    assert write_sidecar(tmp_path / "a.onnx", feed) == tmp_path / "a.json"
    assert write_sidecar(tmp_path / "a.onnx", feed) == tmp_path / "a.json"
    assert write_sidecar(tmp_path / "a.tflite", feed) == tmp_path / "a.tflite.json"
    assert json.loads((tmp_path / "a.json").read_text())["file"] == "a.onnx"
    (tmp_path / "result.json").write_text('{"trial": 3}')
    assert write_sidecar(tmp_path / "result.onnx", feed).name == "result.onnx.json"
    assert (tmp_path / "result.json").read_text() == '{"trial": 3}'


@pytest.mark.parametrize(
    "shape",
    [
        (1, 3, 16, 16),
        (1, 16, 16, 3),
        ("n", 3, 16, 16),
        (4, 3, 16, 16),
        ("n", 3, "h", "w"),
        (None, None, None, 3),
    ],
)
def test_a_foreign_file_is_fed_by_its_side_car(tmp_path, shape):
    path = foreign(tmp_path, shape)
    with pytest.raises(InputError, match=r"theirs.json next to it with its classes, size_px, mean"):
        open_model(path)
    (tmp_path / "theirs.json").write_text(json.dumps(LEAST | {"size_px": 16}))
    model = open_model(path)
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16)).astype(np.uint8)
    expected = (images.mean(axis=(2, 3)) / 255 - 0.5) / 0.2
    assert np.allclose(model.logits(images), expected, atol=1e-5)


def test_a_foreign_file_may_take_pixels_and_any_layout(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16)).astype(np.uint8)
    for dtype in (TensorProto.UINT8, TensorProto.FLOAT, TensorProto.FLOAT16):
        path = foreign(tmp_path, (None, None, None, 3), dtype=dtype)
        said = LEAST | {"size_px": 16, "values": "pixels", "layout": "NHWC"}
        (tmp_path / "theirs.json").write_text(json.dumps(said))
        assert np.allclose(open_model(path).logits(images), images.mean(axis=(2, 3)), rtol=1e-3)


def test_sizes(seed, tmp_path, content):
    path = foreign(tmp_path, ("n", 3, "h", "w"))
    (tmp_path / "theirs.json").write_text(json.dumps(LEAST | {"size_px": 16}))
    assert open_model(path, px=48).feed.size_px == 48
    (tmp_path / "ours.onnx").write_bytes(content)
    assert open_model(tmp_path / "ours.onnx", px=PX).feed.size_px == PX
    with pytest.raises(InputError, match="takes images of 32 px, --resolution is 48"):
        open_model(tmp_path / "ours.onnx", px=48)
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(seed))
    assert open_model(tmp_path / "seed.pt", px=48).feed.size_px == 48


@pytest.mark.parametrize(
    ("made", "said", "reason"),
    [
        ({"shape": (1, 3, 16, 24)}, {}, "only square images"),
        ({"shape": (1, 1, 16, 16)}, {}, "only networks that take RGB images"),
        ({"shape": (1, 16, 16, 1, 3)}, {}, "give a network that takes an image"),
        ({"shape": (1, 3, 16, 16), "dtype": TensorProto.INT64}, {}, "give a network that takes an"),
        ({"shape": (1, 3, 16, 16), "inputs": 2}, {}, "it has 2 inputs"),
        ({"shape": (1, 3, 16, 16), "opset": 99}, {}, "ONNX Runtime refuses it"),
        ({"shape": (1, 3, 16, 16)}, {"size_px": 32}, "takes images of 16 px, and its description"),
        ({"shape": (1, 3, "h", "w")}, {}, "'size_px' is missing"),
        ({"shape": (1, 3, 16, 16)}, {"classes": ["a"]}, "3 outputs and 1 class names"),
    ],
)
def test_foreign_files_that_cannot_be_fed(tmp_path, made, said, reason):
    path = foreign(tmp_path, **made)
    (tmp_path / "theirs.json").write_text(json.dumps(LEAST | said))
    with pytest.raises(InputError) as error:
        open_model(path)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_outputs_that_are_no_classes(tmp_path):
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])
    for axes, good in (([2, 3], True), ([1], False)):
        nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=1)]
        got = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, "g", [given], [got])
        opset = [helper.make_opsetid("", 17)]
        content = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
        run = open_onnx(content)
        images = np.zeros((2, 3, 16, 16), np.float32)
        if good:  # (1, 3, 1, 1), as some exporters leave it
            assert as_logits(run(images), where="ONNX").shape == (2, 3)
        else:
            with pytest.raises(InputError, match="its output is 1x1x16x16"):
                as_logits(run(images), where="ONNX")


def test_files_of_several_outputs():
    """Each has an entry for each image; a classifier's logits are the first."""
    kinds = TensorProto.FLOAT
    given = helper.make_tensor_value_info("x", kinds, [1, 3, 16, 16])
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["all"], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["channels"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["map"], axes=[1], keepdims=0),
    ]
    got = [helper.make_tensor_value_info(node.output[0], kinds, None) for node in nodes]
    graph = helper.make_graph(nodes, "g", [given], got)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    images = np.random.default_rng(0).random((4, 3, 16, 16), np.float32)
    channels, pixels = open_onnx(model)(images)
    assert np.allclose(channels, images.mean(axis=(2, 3)))
    assert np.allclose(pixels, images.mean(axis=1), atol=1e-6)
    assert np.array_equal(as_logits((channels, pixels), where="ONNX"), channels)


def test_damaged_descriptions_are_refused(content, tmp_path):
    for text in ("{", json.dumps({"schema": 99}), json.dumps(LEAST | {"classes": 3})):
        model = onnx.load_from_string(content)
        helper.set_model_props(model, {KEY: text})
        path = tmp_path / "m.onnx"
        onnx.save(model, path)
        with pytest.raises(InputError, match=r"m.onnx: .*description"):
            open_model(path)


def test_damaged_files_are_one_line(seed, content, tmp_path, capfd):
    path = tmp_path / "cut"
    for whole in (content, checkpoint_bytes(seed)):
        for part in (0, 1, 8, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:part])
            with pytest.raises(InputError) as error:
                open_model(path)
            assert "\n" not in str(error.value)
    random = np.random.default_rng(0)
    for place in random.integers(0, 2000, 60).tolist():  # names that are no text, among others
        path.write_bytes(
            content[:place] + bytes([random.integers(128, 256)]) + content[place + 1 :]
        )
        with contextlib.suppress(InputError):
            open_model(path)
    assert capfd.readouterr() == ("", "")
    for missing in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(InputError, match=r"give a \.pt, \.onnx or \.tflite file"):
            open_model(missing)
