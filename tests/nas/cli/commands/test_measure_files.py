"""`nas measure` of models' files: at the size that was asked for, on every kind of device."""

import json
import sys

import onnx
import pytest

from latency.measuring.statistics import Timing
from tests.latency.conftest import sshd  # noqa: F401 - a fixture
from tests.latency.model_files import onnx_model, save_with_data, tflite_model
from tests.latency.sshd import python
from tests.latency.test_model_files import SCALE

QUICK = Timing(warmup_s=0.0, block_s=0.0, block_runs=2, min_blocks=2, max_s=0.02, retries=0)

# A device that takes a millisecond a row of the image that it is given.
ROWS = f"""#!{sys.executable}
import onnx, sys
model = onnx.load(sys.argv[1])
shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
assert all(shape), shape
print(shape[2])
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder to work in, apart from the models'."""
    monkeypatch.setattr("latency.measuring.measured.Timing", lambda: QUICK)
    (tmp_path / "here").mkdir()
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def file(tmp_path):
    """An ONNX model's file in another folder than the working one; with data beside it where asked."""

    def made(name, *arguments, data=False, **options):
        path = tmp_path / "models" / name
        model = onnx_model(*arguments, **options)
        if data:
            save_with_data(model, path, location=f"{name}.data")
        else:
            onnx.save(model, path)
        return f"../models/{name}"

    return made


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """`--device` of the program that prints how high its image is."""
    path = tmp_path / "rows.py"
    path.write_text(ROWS)
    path.chmod(0o755)
    monkeypatch.setattr("latency.runtimes.command.TIMING", QUICK)
    return f"command:{path}"


def measured(nas, *arguments):
    code, out, err = nas("measure", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


FREE = (1, 3, "H", "W")


@pytest.mark.slow
@pytest.mark.long
def test_several_files_and_a_network_at_one_size(nas, file, rows):
    names = [file("a.onnx", FREE), file("b.onnx", (None,) * 4, data=True), "mobilenet_v3_small"]
    found = measured(nas, *names, "--device", rows, "--resolution", 96)
    assert [(one["name"], one["median_ms"], one["resolution"]) for one in found] == [
        (name, 96.0, 96) for name in names
    ]


@pytest.mark.slow
def test_the_table_tells_the_size(nas, file, rows):
    _, out, _ = nas("measure", file("a.onnx", (1, 3, 48, 64)), file("b.onnx"), "--device", rows)
    assert "48x64" in out
    assert " 64 " in out


@pytest.mark.parametrize("data", [False, True])
def test_this_machine(nas, file, data):
    (found,) = measured(nas, file("a.onnx", FREE, data=data), "--resolution", 32)
    assert found["resolution"] == 32
    assert found["median_ms"] > 0


def test_another_machine(nas, file, sshd, tmp_path):  # noqa: F811 - the fixture
    device = f"ssh:board,config={sshd.config()},python={python(tmp_path / 'board')}"
    for options in ({"data": True}, {"kind": onnx.TensorProto.UINT8}):
        (found,) = measured(
            nas, file("a.onnx", FREE, **options), "--resolution", 32, "--device", device
        )
        assert found["resolution"] == 32
    code, _, err = nas("measure", file("a.onnx", FREE), "--device", device)
    assert code == 2
    assert "has a free size: give --resolution" in err


def only_line(err):
    """The message, which is one line beside what says that work goes on."""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.strip() and "measuring on" not in line]
    (line,) = lines
    return line


@pytest.mark.parametrize(
    ("options", "typed", "message"),
    [
        ({"shape": FREE}, (), "has a free size: give --resolution"),
        ({}, ("--resolution", 224), "is fixed at (1, 3, 64, 64), --resolution is 224"),
        ({}, ("--resolution", 0), "resolution must be at least 1, got 0"),
        ({}, ("--width", 0.5), "--width applies to reference networks only, got the file"),
        ({"more": [SCALE]}, (), "has 2 inputs (image, scale)"),
        ({"opset": 99}, (), "has opset 99"),
    ],
)
def test_what_cannot_be_measured_is_one_line(nas, file, options, typed, message):
    code, out, err = nas("measure", file("a.onnx", **options), *typed)
    assert (code, out) == (2, "")
    assert message in only_line(err)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda node: setattr(node, "op_type", "Frobnicate"), "Frobnicate"),
        (lambda node: setattr(node, "domain", "my.lab"), "my.lab"),
        (lambda node: node.input.__setitem__(0, "absent"), "absent"),
    ],
)
def test_what_the_runtime_refuses_is_one_line_that_names_the_file(
    nas, file, tmp_path, change, message
):
    model = onnx_model()
    change(model.graph.node[0])
    onnx.save(model, tmp_path / "models" / "bad.onnx")
    for others in ((), (file("a.onnx"),)):
        code, out, err = nas("measure", *others, "../models/bad.onnx")
        assert (code, out) == (2, "")
        line = only_line(err)
        assert "../models/bad.onnx: " in line
        assert message in line


def test_a_format_that_the_device_does_not_take(nas, tmp_path):
    (tmp_path / "models" / "m.tflite").write_bytes(tflite_model((1, 8, 8, 3)))
    code, _, err = nas("measure", "../models/m.tflite")
    assert code == 2
    assert "m.tflite is a LiteRT file, and the device runs .onnx files" in only_line(err)
