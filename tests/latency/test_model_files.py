"""Model files of users: free sizes, odd inputs, external data, and files that are not models."""

import os
import struct

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from latency import MeasurementError
from latency.files.model_file import open_model, read_model
from latency.files.tflite_file import SHAPE, SIGNATURE, Flatbuffer, open_tflite
from latency.runtimes.onnx_runtime import OnnxRuntime
from search_spaces import InputError
from tests.latency.model_files import model_of, onnx_model, save_with_data, tflite_model

BOTH = (".onnx", ".tflite")


def open_file(path, resolution=None, formats=BOTH):
    return open_model(path, read_model(path), resolution=resolution, formats=formats)


@pytest.fixture
def written(tmp_path):
    """Write bytes or an ONNX model to a file."""

    def write(content, name="model.onnx"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        return path

    return write


def shape_of(content):
    """The input's shape, as ONNX Runtime has it."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.get_inputs()[0].shape


@pytest.mark.parametrize(
    ("shape", "channels_last", "fixed"),
    [
        ((1, 3, "H", "W"), False, [1, 3, 96, 96]),
        (("batch", 3, 96, 96), False, [1, 3, 96, 96]),
        (("batch", 3, "height", "width"), False, [1, 3, 96, 96]),
        (("b", "c", "h", "w"), False, [1, 3, 96, 96]),
        ((None, None, None, None), False, [1, 3, 96, 96]),
        (("N", "N", "N", "N"), True, [1, 96, 96, 3]),
        ((None, None, None, None), True, [1, 96, 96, 3]),
        (("N", "H", "W", 3), True, [1, 96, 96, 3]),
        (("unk_1", "h", "w", "c"), True, [1, 96, 96, 3]),
        ((1, 3, 96, "W"), False, [1, 3, 96, 96]),
        ((-1, 3, 0, -1), False, [1, 3, 96, 96]),
        (None, False, [1, 3, 96, 96]),
        (None, True, [1, 96, 96, 3]),
        ((1, 3, 96, 96), False, [1, 3, 96, 96]),
    ],
)
def test_free_dimensions_of_onnx_are_fixed(written, shape, channels_last, fixed):
    file = open_file(written(onnx_model(shape, channels_last=channels_last)), 96)
    assert shape_of(file.content) == fixed
    assert (file.height, file.width) == (96, 96)
    ran = OnnxRuntime().load(file.content)
    assert ran._feed["image"].shape == tuple(fixed)
    assert len(ran.run(2)) == 2


@pytest.mark.parametrize("shape", [(1, 3, "H", "W"), (None,) * 4, None, (1, 3, 224, "W")])
def test_a_free_size_asks_for_the_resolution(written, shape):
    with pytest.raises(InputError, match="has a free size: give --resolution"):
        open_file(written(onnx_model(shape)))


def test_a_fixed_size_is_kept(written):
    assert open_file(written(onnx_model((1, 3, 64, 96)))).width == 96
    with pytest.raises(InputError, match=r"fixed at \(1, 3, 64, 96\), --resolution is 64"):
        open_file(written(onnx_model((1, 3, 64, 96))), 64)
    whole = onnx_model((1, 3, 64, 64)).SerializeToString()
    assert open_file(written(whole), 64).content == whole


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (TensorProto.UINT8, 0, 256), (TensorProto.INT8, -128, 128), (TensorProto.INT32, 0, 256),
        (TensorProto.FLOAT16, -9, 9), (TensorProto.DOUBLE, -9, 9),
    ],
)  # fmt: skip
def test_images_of_other_types_are_run(written, kind, low, high):
    network = OnnxRuntime().load(open_file(written(onnx_model(kind=kind))).content)
    values = network._feed["image"]
    assert values.dtype == helper.tensor_dtype_to_np_dtype(kind)
    assert low <= values.min() < values.max() < high
    assert len(network.run(2)) == 2


def _vector(kind, sides):
    given = helper.make_tensor_value_info("x", kind, sides)
    out = helper.make_tensor_value_info("y", kind, sides)
    return model_of([helper.make_node("Identity", ["x"], ["y"])], [given], [out])


def _no_input():
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    weights = numpy_helper.from_array(np.ones(2, np.float32), "w")
    return model_of([helper.make_node("Identity", ["w"], ["y"])], [], [out], [weights])


def _without_opset():
    model = onnx_model()
    del model.opset_import[:]
    return model


SCALE = helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1])
SEQUENCE = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (onnx_model(more=[SCALE]), r"has 2 inputs \(image, scale\): only networks that take one image"),
        (_no_input(), "has no input"),
        (onnx_model((8, 3, 64, 64)), "its batch is fixed at 8"),
        (onnx_model(opset=99), "has opset 99"),
        (_without_opset(), "has no opset"),
        (_vector(TensorProto.FLOAT, [1, 10]), r"has the shape \(1, 10\), which is not an image"),
        (_vector(TensorProto.FLOAT, [1, 3, "t", 8, 8]), "which is not an image"),
        (_vector(TensorProto.FLOAT, []), "which is not an image"),
        (_vector(TensorProto.INT64, [1, "tokens"]), "which is not an image"),
        (_vector(TensorProto.STRING, [1, 3, 8, 8]), "'x' is string, not an image type"),
        (_vector(TensorProto.BOOL, [1, 3, 8, 8]), "'x' is bool, not an image type"),
        (model_of([helper.make_node("Identity", ["x"], ["y"])], [SEQUENCE], [SCALE]), "not a tensor"),
    ],
)  # fmt: skip
def test_models_that_do_not_take_one_image_are_rejected(written, model, message):
    with pytest.raises(InputError, match=message):
        open_file(written(model), 64)


def test_weights_listed_as_inputs_are_ignored(written):
    """As in old files."""
    weights = helper.make_tensor_value_info("weights", TensorProto.FLOAT, [8, 3, 3, 3])
    assert open_file(written(onnx_model(more=[weights]))).height == 64


WHOLE = onnx_model().SerializeToString()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"\n <!DOCTYPE html><html lang=en>", "is a web page"),
        (b"<html><head>", "is a web page"),
        (b"PK\x03\x04" + bytes(50), "is a zip archive, as PyTorch writes checkpoints"),
        (b"\x80\x02}q\x00.", "is a pickle"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (b"\x1f\x8b\x08\x00", "is compressed"),
        (struct.pack("<Q", 2) + b'{"weight":1}', "holds weights alone"),
        (b"hello, world\n", "is damaged, truncated or not an ONNX file"),
        (np.random.default_rng(1).bytes(4000), "is damaged, truncated or not an ONNX file"),
        (bytes(1000), "is damaged, truncated or not an ONNX file"),
        (WHOLE[: len(WHOLE) // 2], "is damaged, truncated or not an ONNX file"),
    ],
)
def test_files_that_are_not_models_are_recognized(written, content, message):
    with pytest.raises(InputError, match=message):
        open_file(written(content))


def test_no_truncation_or_mutation_gives_a_traceback(written):
    """Either validation or the runtime rejects it with a message, or it runs."""
    random = np.random.default_rng(0)
    runtime, refused, ran = OnnxRuntime(), list[str](), 0
    for _ in range(300):
        content = bytearray(WHOLE)
        for place in random.integers(0, len(content), size=random.integers(1, 6)):
            content[place] = random.integers(0, 256)
        for part in (bytes(content), WHOLE[: random.integers(0, len(WHOLE))]):
            try:
                times_ms = runtime.load(open_file(written(part), 64).content).run(1)
            except (InputError, MeasurementError) as error:
                refused.append(str(error))
            else:
                assert len(times_ms) == 1
                ran += 1
    assert all(refused)
    assert len(refused) > ran > 0


def test_a_format_that_the_device_does_not_run(written):
    with pytest.raises(InputError, match=r"is an ONNX file, and the device runs \.tflite files"):
        open_file(written(onnx_model()), formats=(".tflite",))
    with pytest.raises(InputError, match=r"is a LiteRT file, and the device runs \.onnx files"):
        open_file(written(tflite_model((1, 8, 8, 3)), "m.tflite"), formats=(".onnx",))


@pytest.mark.parametrize("name", ["folder.onnx", "absent.onnx"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(InputError, match="give a model's file"):
        read_model(tmp_path / name)


# Weights beside the model.


@pytest.fixture
def with_data(tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    save_with_data(onnx_model((1, 3, "H", "W")), folder / "m.onnx")
    return folder / "m.onnx"


def test_external_data_is_inlined(with_data, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = with_data.relative_to(tmp_path)
    for name in (with_data, f"../{path}"):
        content = open_file(type(with_data)(name), 64).content
        (weights,) = onnx.load_from_string(content).graph.initializer
        assert np.array_equal(
            numpy_helper.to_array(weights), numpy_helper.to_array(onnx_model().graph.initializer[0])
        )
        assert shape_of(content) == [1, 3, 64, 64]


def test_external_data_in_subfolders_and_symlinked_caches(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot" / "deep").mkdir(parents=True)
    save_with_data(onnx_model(), tmp_path / "blobs" / "m.onnx")
    (tmp_path / "snapshot" / "m.onnx").symlink_to(tmp_path / "blobs" / "m.onnx")
    (tmp_path / "snapshot" / "m.data").symlink_to(tmp_path / "blobs" / "m.data")
    assert open_file(tmp_path / "snapshot" / "m.onnx").height == 64
    model = onnx.load(tmp_path / "blobs" / "m.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "deep/m.data"
    (tmp_path / "blobs" / "m.data").rename(tmp_path / "snapshot" / "deep" / "m.data")
    (tmp_path / "snapshot" / "two.onnx").write_bytes(model.SerializeToString())
    assert open_file(tmp_path / "snapshot" / "two.onnx").height == 64


def test_missing_or_truncated_external_data(with_data):
    data = with_data.with_name("m.data")
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    with pytest.raises(
        InputError, match=r"'m\.data' has 100 bytes, and 864 from offset 0 are needed"
    ):
        open_file(with_data, 64)
    data.unlink()
    with pytest.raises(
        InputError, match=r"its data file 'm\.data' is missing: copy it into .*there/"
    ):
        open_file(with_data, 64)
    data.mkdir()
    with pytest.raises(InputError, match="is not a file"):
        open_file(with_data, 64)


@pytest.mark.parametrize(
    "location",
    ["../secret", "../../etc/passwd", "/etc/passwd", "a/../../secret", "..\\secret", "", "C:\\secret",
     "link", "x" * 300],
)  # fmt: skip
def test_data_outside_the_models_folder_is_not_read(with_data, location):
    (with_data.parent.parent / "secret").write_bytes(bytes(864))
    (with_data.parent / "link").symlink_to(with_data.parent.parent / "secret")
    model = onnx.load(with_data, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    with_data.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"outside the model's folder|File name too long"):
        open_file(with_data, 64)


def test_invalid_offsets(with_data):
    model = onnx.load(with_data, load_external_data=False)
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "offset", "soon"
    with_data.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="that is not a number"):
        open_file(with_data, 64)


def test_over_two_gigabytes_is_rejected_before_reading(with_data):
    os.truncate(with_data.with_name("m.data"), 3 << 30)  # sparse
    with pytest.raises(InputError, match="over 2 GB with its data"):
        open_file(with_data, 64)


# The runtime alone, as the Python API has it.


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (onnx_model((1, 3, "H", "W")), "has a free size"),
        (onnx_model(more=[SCALE]), "has 2 inputs"),
        (_no_input(), "has 0 inputs"),
        (_vector(TensorProto.STRING, [1, 3]), r"is tensor\(string\), not an image type"),
    ],
)
def test_the_runtime_does_not_measure_at_one_pixel(model, message):
    with pytest.raises(MeasurementError, match=message):
        OnnxRuntime().load(model.SerializeToString())


# LiteRT.


def shapes(content):
    file = Flatbuffer(content)
    graph = file.target(file.vector(file.root(), 2)[0])
    tensor = file.target(file.vector(graph, 0)[0])
    return file.numbers(tensor, SHAPE), file.numbers(tensor, SIGNATURE)


def test_a_fixed_litert_file_is_unchanged(written):
    content = tflite_model((1, 64, 96, 3))
    file = open_file(written(content, "m.tflite"))
    assert (file.content, file.height, file.width) == (content, 64, 96)
    with pytest.raises(InputError, match=r"fixed at \(1, 64, 96, 3\), --resolution is 224"):
        open_file(written(content, "m.tflite"), 224)


@pytest.mark.parametrize("signature", [(-1, -1, -1, 3), (1, -1, -1, 3)])
def test_free_dimensions_of_litert_are_fixed(written, signature):
    path = written(tflite_model((1, 1, 1, 3), signature=signature), "m.tflite")
    with pytest.raises(InputError, match="has a free size: give --resolution"):
        open_file(path)
    file = open_file(path, 96)
    assert shapes(file.content) == ((1, 96, 96, 3), (1, 96, 96, 3))
    assert (file.height, file.width) == (96, 96)


def test_channels_first_in_litert(written):
    path = written(tflite_model((1, 3, 1, 1), signature=(1, 3, -1, -1)), "m.tflite")
    assert shapes(open_file(path, 32).content)[0] == (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tflite_model((1, 8, 8, 3), inputs=2), "has 2 inputs"),
        (tflite_model((1, 8, 8, 3), inputs=0), "has no inputs"),
        (tflite_model((1, 8, 8, 3), kind=5), "has type 5"),
        (tflite_model((1, 10)), "which is not an image"),
        (tflite_model((4, 8, 8, 3)), "its batch is fixed at 4"),
        (tflite_model((1, 8, 8, 3))[:40], "is damaged or truncated"),
        (bytes(4) + b"TFL3", "is damaged or truncated"),
        (b"\xff\xff\xff\xffTFL3" + bytes(40), "is damaged or truncated"),
    ],
)
def test_rejected_litert_files(written, content, message):
    with pytest.raises(InputError, match=message):
        open_file(written(content, "m.tflite"), 8)


def test_no_truncated_litert_file_gives_a_traceback(written):
    whole, random = tflite_model((1, 1, 1, 3), signature=(1, -1, -1, 3)), np.random.default_rng(0)
    path, refused, opened = written(whole, "m.tflite"), list[str](), 0
    for length in range(8, len(whole)):
        content = bytearray(whole)
        content[random.integers(8, len(whole))] = random.integers(0, 256)
        for part in (whole[:length], bytes(content)):
            try:
                open_tflite(path, part, resolution=8)
            except InputError as error:
                refused.append(str(error))
            else:
                opened += 1
    assert all(str(path) in message for message in refused)
    assert refused
    assert opened > 0
