"""Int8 against independent values: the weights' own grid, a plain session, pixels prepared by hand."""

import copy
import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from latency import Device, Latency
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.feeding import Feed
from nas.checkpoints.usage import Usage
from nas.cli.main import main
from nas.data.images import ArraySplit, Dataset, channel_statistics
from nas.export.evaluation.answers import evidence_of
from nas.export.models import Model
from nas.export.onnx_export import (
    TOLERANCE,
    ExportError,
    check,
    largest_difference,
    random_images,
)
from nas.export.onnx_file import open_onnx
from nas.export.quantize import (
    ONNX,
    calibration_images,
    compare,
    quantize_onnx,
    quantized,
)
from nas.tasks.intervals import Difference
from nas.training.recipe import Recipe
from nas.training.train import train
from search_spaces import REFERENCES, InputError
from search_spaces.exporting.onnx_export import to_onnx
from search_spaces.network import build
from search_spaces.spec import save

PX, CLASSES = 32, ("dark", "light", "medium")
LAB = Device("lab", "lab")
UNTIMED = replace(ONNX, latencies=lambda models: [Latency.exactly(1.0, LAB) for _ in models])


def small_spec():
    """The beginning of MobileNetV3-Small: squeeze-and-excite, ReLU and h-swish, strides, a skip."""
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=PX, classes=len(CLASSES))
    return replace(spec, blocks=spec.blocks[:5], head=replace(spec.head, conv=64, hidden=32))


def shades(count, seed):
    """Noisy images of three brightnesses."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count)
    base = np.array([70.0, 190.0, 130.0])[labels][:, None, None, None]
    pixels = base + rng.normal(0, 10, (count, 1, 1, 1)) + rng.normal(0, 30, (count, 3, PX, PX))
    return ArraySplit(pixels.clip(0, 255).astype(np.uint8), labels)


@pytest.fixture(scope="module")
def data():
    splits = [shades(count, seed) for seed, count in enumerate((384, 200, 8))]
    return Dataset("shades", CLASSES, *splits, PX, *channel_statistics(splits[0].images))


@pytest.fixture(scope="module")
def usage(data):
    return Usage(CLASSES, PX, data.mean, data.std)


@pytest.fixture(scope="module")
def network(data):
    network = build(small_spec())
    train(network, data, Recipe(steps=60, batch_size=64), seed=0)
    return network


@pytest.fixture(scope="module")
def images(data, usage):
    return calibration_images(data.train, usage)


@pytest.fixture(scope="module")
def int8(network, images):
    return quantize_onnx(to_onnx(network), images)


def by_hand(pixels, usage):
    mean, std = (np.reshape(values, (1, 3, 1, 1)) for values in (usage.mean, usage.std))
    return ((pixels / 255 - mean) / std).astype(np.float32)


def initializers(graph):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def weight_dequantizers(model):
    """For each convolution and linear layer: its int8 weights, their scales, their zero points."""
    graph = onnx.load_from_string(model).graph
    values, made_by = initializers(graph), {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            dequantize = made_by[node.input[1]]
            assert dequantize.op_type == "DequantizeLinear"
            yield [values[name] for name in dequantize.input]


def test_every_weight_is_int8_with_a_scale_for_each_output_channel(network, int8):
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    found = list(weight_dequantizers(int8))
    assert len(found) == len(layers)
    for layer, (weight, scale, zero) in zip(layers, found, strict=True):
        assert weight.dtype == np.int8
        assert weight.shape == layer.weight.shape
        assert scale.shape == (len(layer.weight),)
        assert not zero.any()


@pytest.mark.parametrize("act", ["hswish", "relu6"])
def test_no_constants_are_left_that_no_layer_reads(images, act):
    spec = small_spec()
    blocks = tuple(replace(block, act=act) for block in spec.blocks)
    float_model = to_onnx(build(replace(spec, blocks=blocks)))
    graph = onnx.load_from_string(quantize_onnx(float_model, images[:4])).graph
    read = {name for node in graph.node for name in node.input}
    made = {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    assert made | {tensor.name for tensor in graph.initializer} <= read


def test_layers_that_share_a_constant_are_quantised_too(images):
    fresh = to_onnx(build(small_spec()))  # all its biases are zero
    assert any(node.op_type == "Identity" for node in onnx.load_from_string(fresh).graph.node)
    graph = onnx.load_from_string(quantize_onnx(fresh, images[:4])).graph
    made_by = {node.output[0]: node.op_type for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        assert [made_by[name] for name in node.input] == ["DequantizeLinear"] * 3


def test_int8_weights_are_the_nearest_on_their_grid(network, int8):
    graph = onnx.load_from_string(to_onnx(network)).graph
    values = initializers(graph)
    originals = [values[n.input[1]] for n in graph.node if n.op_type in ("Conv", "Gemm")]
    for original, (weight, scale, _) in zip(originals, weight_dequantizers(int8), strict=True):
        wide = scale.reshape(-1, *[1] * (weight.ndim - 1))
        assert np.all(np.abs(weight * wide - original) <= wide / 2 * 1.001)
        # Each channel uses the whole range. (Where a bias would not fit 32 bits the scale is larger.)
        largest = np.abs(original).reshape(len(original), -1).max(axis=1)
        assert np.all(scale >= largest / 127 * 0.999)
        assert np.median(scale / (largest / 127)) == pytest.approx(1, rel=1e-2)


def test_reduced_range_keeps_weights_in_seven_bits(network, images):
    model = quantize_onnx(to_onnx(network), images[:4], reduce_range=True)
    assert all(np.abs(weight).max() <= 64 for weight, _, _ in weight_dequantizers(model))


def test_activations_are_unsigned_and_the_opset_is_kept(int8):
    model = onnx.load_from_string(int8)
    onnx.checker.check_model(model)
    values = initializers(model.graph)
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert quantizers
    assert all(values[node.input[2]].dtype == np.uint8 for node in quantizers)
    assert all(values[node.input[1]].ndim == 0 for node in quantizers)
    assert model.opset_import[0].version == 17


def test_int8_logits_are_near_the_floats(network, int8, data, usage):
    inputs = by_hand(data.val.images, usage)
    expected = network(torch.from_numpy(inputs)).detach().numpy()
    error = open_onnx(int8)(inputs) - expected
    assert 0 < np.sqrt(np.mean(error**2)) < 0.1 * expected.std()


def test_the_accuracy_told_is_that_of_a_plain_session(network, data, usage):
    model, compared = quantized(UNTIMED, network, data, usage)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = by_hand(data.val.images, usage)
    given = [session.run(None, {"image": image[None]})[0].argmax() for image in inputs]
    assert compared.after.accuracy == pytest.approx(np.mean(given == data.val.labels))
    expected = network(torch.from_numpy(inputs)).argmax(dim=1).numpy()
    assert compared.before.accuracy == pytest.approx(np.mean(expected == data.val.labels))
    assert compared.before.accuracy > 0.7  # it has learnt: the rest would mean nothing otherwise
    assert compared.agreement == pytest.approx(np.mean(given == expected))
    assert (compared.images, compared.calibrated_on, compared.px) == (200, 256, PX)
    assert compared.after.size == len(model)
    json.dumps(compared.to_dict())


def test_a_file_compared_with_itself_differs_in_nothing(int8, data, usage):
    same = compare(UNTIMED, int8, int8, data=data, feed=Feed(usage, PX))
    assert same.before == same.after
    assert same.difference == Difference(0, 0, 0)
    assert same.agreement == 1


def test_quantising_again_gives_the_same_file_and_says_nothing(network, images, int8, capfd):
    assert quantize_onnx(to_onnx(network), images) == int8
    assert capfd.readouterr() == ("", "")


def test_a_dynamic_batch_stays_dynamic(network, images, int8, data, usage):
    free = quantize_onnx(to_onnx(network, dynamic_batch=True), images)
    session = ort.InferenceSession(free, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, PX, PX]
    inputs = by_hand(data.val.images[:16], usage)
    (together,) = session.run(None, {"image": inputs})
    assert np.allclose(together, open_onnx(int8)(inputs), atol=1e-5)


def test_calibration_images_are_some_of_train_prepared_as_in_training(data, usage):
    images = calibration_images(data.train, usage, count=50)
    assert images.shape == (50, 3, PX, PX)
    assert np.array_equal(images, calibration_images(data.train, usage, count=50))
    whole = by_hand(data.train.images, usage)
    nearest = [np.abs(whole - image).max(axis=(1, 2, 3)) for image in images]
    assert max(distances.min() for distances in nearest) < 1e-5
    assert len({int(distances.argmin()) for distances in nearest}) == 50
    few = ArraySplit(data.train.images[:7], data.train.labels[:7])
    assert len(calibration_images(few, usage)) == 7


def test_every_image_is_counted_once(data, usage):
    seen = []

    def run(images):
        seen.append(len(images))
        return np.eye(len(CLASSES), dtype=np.float32)[np.zeros(len(images), int)]

    told = []
    model = Model(Feed(usage, PX), run)
    answers = evidence_of(model, data.val, task="classify", progress=told.append)
    assert sum(seen) == told[-1] == 200
    assert answers.accuracy == pytest.approx(np.mean(data.val.labels == 0))


def test_classes_are_matched_by_name_and_some_may_be_missing(data, network, usage):
    wider = replace(usage, classes=("bright", *CLASSES[::-1]))
    head = replace(network.spec.head, classes=len(wider.classes))
    untrained = build(replace(network.spec, head=head)).eval()
    seen = []

    def opened(model):
        run = open_onnx(model)
        return lambda images: seen.append(run(images)) or seen[-1]

    _, compared = quantized(replace(UNTIMED, open=opened), untrained, data, wider)
    # 200 images, 64 at once, float and int8 by turns
    answers = np.concatenate(seen[-(2 * 4) :: 2]).argmax(axis=1)
    right = np.array([wider.classes.index(CLASSES[label]) for label in data.val.labels])
    assert compared.before.accuracy == pytest.approx(np.mean(answers == right))


def test_a_class_that_the_network_does_not_know_is_refused(data, network, usage):
    strange = replace(data, classes=("dark", "light", "bright"))
    with pytest.raises(InputError, match="does not know the data's classes 'bright'"):
        quantized(UNTIMED, network, strange, usage)


def test_a_file_that_computes_something_else_is_refused(network):
    right = open_onnx(to_onnx(network))
    check(network, right, what="ONNX")
    for wrong in (lambda x: right(x) + 1e-3, lambda x: right(x) * np.float32(np.nan)):
        with pytest.raises(ExportError, match=r"ONNX outputs differ from torch's by"):
            check(network, wrong, what="ONNX")
    assert largest_difference(network, lambda x: right(x) + 0.5) == pytest.approx(0.5, rel=0.6)


def test_a_file_may_be_as_far_from_the_exact_outputs_as_torch_is(network):
    """Logits near zero are differences of large numbers: rounding moves them by more than the tolerance."""
    network = copy.deepcopy(network).eval().double()
    image = random_images(network)[:1]
    last = network.head.classifier[-1]
    with torch.no_grad():
        last.bias.zero_()
        last.weight.mul_(1e4 / network(torch.from_numpy(image).double()).abs().max())
        last.bias.copy_(-network(torch.from_numpy(image).double())[0])
    network.float()
    run = open_onnx(to_onnx(network))
    assert largest_difference(network, run, image) > TOLERANCE
    check(network, run, what="ONNX", images=image)
    with pytest.raises(ExportError, match=r"and from its float64 by 0\.\d+ \(torch's float32: "):
        check(network, lambda x: run(x) + 0.1, what="ONNX", images=image)


@pytest.fixture
def nas(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return command


@pytest.fixture
def folders(tmp_path, network, usage):
    """A seed file, images of its classes, images of other classes, and a folder without any."""
    seed = Checkpoint(small_spec(), network.state_dict(), usage)
    (tmp_path / "net.pt").write_bytes(checkpoint_bytes(seed))
    pixels = shades(45, 9)
    for root, names in (("photos", CLASSES), ("pets", ("cat", "dog", "hen"))):
        for number, (image, label) in enumerate(zip(pixels.images, pixels.labels, strict=True)):
            folder = tmp_path / root / names[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number}.png")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_the_command_writes_int8_beside_the_seed(nas, folders, monkeypatch):
    monkeypatch.setattr("nas.export.quantize.ONNX", UNTIMED)
    code, out, err = nas("export", "net.pt", "--int8", "--data", "photos", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["path"] == "net-int8.onnx"
    assert document["px"] == PX
    assert document["before"]["accuracy"] > 0.7
    assert document["bytes"] == document["after"]["size"]
    assert list(weight_dequantizers((folders / "net-int8.onnx").read_bytes()))
    code, out, err = nas(
        "export", "net.pt", "--int8", "--data", "photos", "--resolution", 24, "-o", "x.onnx"
    )
    assert code == 0, err
    assert "24 px" in " ".join(out.split())
    assert open_onnx((folders / "x.onnx").read_bytes())(np.zeros((1, 3, 24, 24), np.float32)).any()


def test_a_float_file_is_checked_on_photos_too(nas, folders):
    code, out, err = nas("export", "net.pt", "--data", "photos", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert 0 < document["checked_images"] <= 16
    assert not document["int8"]
    assert document["largest_difference"] < 1e-4
    _, _, err = nas("export", "net.pt", "--data", "photos")
    assert "also on" in err


def test_float_files_are_named_for_the_network(nas, folders):
    assert nas("export", "net.pt", "--dynamic-batch")[0] == 0
    open_onnx((folders / "net.onnx").read_bytes())(np.zeros((5, 3, PX, PX), np.float32))
    code, out, _ = nas("export", "mobilenet_v3_small@0.35", "--resolution", 32, "--json")
    assert code == 0
    document = json.loads(out)
    assert document["path"] == "mobilenet_v3_small-0.35-random.onnx"
    assert document["opset"] == 17
    assert not document["trained"]
    # A run's folder stands for its seed, and a spec beside it leaves its trained file alone.
    (folders / "one").mkdir()
    seed = folders / "one" / "seed.pt"
    seed.write_bytes((folders / "net.pt").read_bytes())
    assert nas("export", "one")[0] == 0
    trained = seed.with_suffix(".onnx").read_bytes()
    save(load_checkpoint(seed).spec, folders / "one" / "seed.yaml")
    assert nas("export", "one/seed.yaml")[0] == 0
    assert seed.with_suffix(".onnx").read_bytes() == trained


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["net.pt", "--int8"], "needs calibration images: give --data"),
        (["net.pt", "--int8", "--data", "absent/"], "absent"),
        (["net.pt", "--int8", "--data", "empty"], "empty"),
        (
            ["net.pt", "--int8", "--data", "pets"],
            "does not know the data's classes 'cat', 'dog', 'hen'",
        ),
        (["net.pt", "--int8", "--data", "photos", "--resolution", "0"], "resolution"),
        (["net.pt", "--int8", "--data", "photos", "-o", "no/x.onnx"], "no folder no"),
        (["mobilenet_v2", "--int8", "--data", "photos"], "mobilenet_v2 has none"),
        (["nothing", "--int8"], "no network 'nothing'"),
        (["mobilenet_v2", "--data", "photos"], "--data needs trained weights"),
        (["net.pt", "--layout", "flat"], "--layout applies to the images of --data"),
        (["net.pt", "--with-postprocessing"], "a classifier of 3 classes has no post-processing"),
        (["net.pt", "--litert", "--with-postprocessing"], "--with-postprocessing applies to ONNX"),
        (["net.pt", "--onnx", "--litert"], "two formats"),
        (["net.pt", "--litert", "--dynamic-batch"], "--dynamic-batch applies to ONNX"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(nas, folders, arguments, reason):
    before = files_in(folders)
    code, out, err = nas("export", *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert reason in err
    assert out == ""
    assert files_in(folders) == before


def files_in(folder):
    """All but the cache's: which images can be read is remembered."""
    return sorted(p for p in folder.rglob("*") if p.relative_to(folder).parts[0] != "cache")
