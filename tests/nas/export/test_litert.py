"""LiteRT files beside torch; what runs them in these tests is written out anew."""

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from latency import Device, Latency
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.usage import Usage
from nas.cli.main import main
from nas.export.litert_export import LITERT, checked_litert, quantize_litert
from nas.export.litert_file import open_litert
from nas.export.onnx_export import ExportError
from search_spaces import REFERENCES
from search_spaces.exporting.pixel_input import PixelInput
from search_spaces.extras import INSTALL_LITERT
from search_spaces.heads.transforms import dilate, lraspp
from search_spaces.network import build

needs_litert = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("litert_torch", "ai_edge_litert")),
    reason=f"the extra is not installed: {INSTALL_LITERT}",
)
PX = 32


def small_spec():
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=PX, classes=3)
    return replace(spec, blocks=spec.blocks[:4], head=replace(spec.head, conv=64, hidden=32))


@pytest.fixture
def network(randomized_norms):
    network = build(small_spec()).eval()
    randomized_norms(network)
    return network


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((16, 3, PX, PX), dtype=np.float32)


def expected_of(network, images):
    with torch.inference_mode():
        return network(torch.from_numpy(images)).numpy()


def plain_interpreter(model):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    return interpreter, interpreter.get_input_details()[0], interpreter.get_output_details()[0]


@needs_litert
@pytest.mark.slow
def test_a_float_file_computes_what_torch_does(network, images):
    network.train()
    model = checked_litert(network)
    assert network.training
    interpreter, given, got = plain_interpreter(model)
    assert given["shape"].tolist() == [1, PX, PX, 3]
    interpreter.set_tensor(given["index"], images[:1].transpose(0, 2, 3, 1))
    interpreter.invoke()
    expected = expected_of(network.eval(), images)
    assert np.allclose(interpreter.get_tensor(got["index"]), expected[:1], atol=1e-4)
    assert np.allclose(open_litert(model)(images), expected, atol=1e-4)
    ops = [op["op_name"] for op in interpreter._get_ops_details()]
    assert "HARD_SWISH" in ops


@needs_litert
def test_a_file_that_computes_something_else_is_refused(network, monkeypatch):
    monkeypatch.setattr(
        "nas.export.litert_export.open_litert", lambda _: lambda images: images[:, :, 0, 0]
    )
    with pytest.raises(ExportError, match="LiteRT outputs differ"):
        checked_litert(network)


@needs_litert
@pytest.mark.slow
@pytest.mark.parametrize("pixels", [False, True])
def test_maps_of_classes_have_channels_last(randomized_norms, pixels):
    network = build(lraspp(dilate(small_spec(), 16), classes=3)).eval()
    randomized_norms(network)
    half = (0.5,) * 3
    whole = PixelInput(network, network.spec, mean=half, std=half).eval() if pixels else network
    _, given, got = plain_interpreter(checked_litert(whole))
    assert (given["dtype"] == np.uint8) == pixels
    assert got["shape"].tolist() == [1, 4, 4, 3]


@needs_litert
@pytest.mark.slow
def test_int8_has_a_scale_for_each_channel_and_stays_near_torch(network, images):
    exact = checked_litert(network)
    model = quantize_litert(exact, images)
    assert model == quantize_litert(exact, images)
    interpreter, given, got = plain_interpreter(model)
    assert given["dtype"] == got["dtype"] == np.int8
    scale, zero = given["quantization"]
    # The input's grid spans what was calibrated on, to its extremes.
    low, high = (np.array([-128, 127]) - zero) * scale
    assert low == pytest.approx(images.min(), abs=scale)
    assert high == pytest.approx(images.max(), abs=scale)
    channels = {
        len(d["quantization_parameters"]["scales"]) for d in interpreter.get_tensor_details()
    }
    assert {m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv2d)} <= channels
    expected = expected_of(network, images)
    error = open_litert(model)(images) - expected
    assert 0 < np.sqrt(np.mean(error**2)) < 0.2 * expected.std()


@pytest.fixture
def nas(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    usage = Usage(tuple("abc"), PX, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    seed = Checkpoint(small_spec(), build(small_spec()).state_dict(), usage)
    (tmp_path / "net.pt").write_bytes(checkpoint_bytes(seed))

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return command


@needs_litert
@pytest.mark.slow
def test_the_command_writes_float_and_int8(nas, tmp_path, monkeypatch):
    code, out, err = nas("export", "net.pt", "--litert", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["path"] == "net.tflite"
    assert document["largest_difference"] < 1e-4
    exact = Latency.exactly(1.0, Device("lab", "lab"))
    untimed = replace(LITERT, latencies=lambda models: [exact for _ in models])
    monkeypatch.setattr("nas.export.litert_export.LITERT", untimed)
    from PIL import Image

    for number, noise in enumerate(np.random.default_rng(0).integers(0, 256, (24, PX, PX, 3))):
        folder = tmp_path / "photos" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.astype(np.uint8)).save(folder / f"{number}.png")
    code, out, err = nas("export", "net.pt", "--litert", "--int8", "--data", "photos", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["path"] == "net-int8.tflite"
    assert plain_interpreter((tmp_path / "net-int8.tflite").read_bytes())[1]["dtype"] == np.int8


@pytest.mark.parametrize("more", [[], ["--int8", "--data", "fashion-mnist-subset"]])
def test_without_the_extra_one_line_says_how_to_get_it(nas, tmp_path, monkeypatch, more):
    for name in ("litert_torch", "ai_edge_litert", "ai_edge_quantizer"):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, err = nas("export", "net.pt", "--litert", *more)
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert INSTALL_LITERT in err
    assert not list(tmp_path.glob("*.tflite"))
