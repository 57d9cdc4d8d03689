import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from search_spaces import REFERENCES, load_space
from search_spaces.exporting.onnx_export import OPSET, to_onnx
from search_spaces.network import build


def logits_of(model: bytes, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": images})[0]


@pytest.mark.parametrize("seed", range(6))
def test_the_graph_computes_what_the_network_does(seed, random_tokens):
    space = load_space("mnasnet", resolution=48, classes=6)
    network = build(space.decode(random_tokens(space.arities, seed)))
    network(torch.rand(8, 3, 48, 48))  # running statistics other than at their start
    network.eval()
    images = torch.rand(4, 3, 48, 48)
    model = to_onnx(network, dynamic_batch=True)
    expected = network(images).detach().numpy()
    assert np.allclose(logits_of(model, images.numpy()), expected, rtol=1e-4, atol=1e-4)


def test_graph_has_folded_norms_and_native_activations():
    model = onnx.load_from_string(to_onnx(build(REFERENCES["mobilenet_v3_small"]())))
    onnx.checker.check_model(model)
    ops = [node.op_type for node in model.graph.node]
    assert "BatchNormalization" not in ops
    assert ops.count("HardSwish") == 19
    assert ops.count("HardSigmoid") == 9
    assert model.opset_import[0].version == OPSET
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, 224, 224]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet_v2", {"HardSwish": 0, "HardSigmoid": 0, "Clip": 35}),
        ("mobilenet_v3_large", {"HardSwish": 21, "HardSigmoid": 8, "Clip": 0}),
        ("mnasnet_a1", {"HardSwish": 0, "Sigmoid": 8, "Clip": 0}),
    ],
)
def test_every_activation_is_one_node_and_no_norm_is_left(name, expected):
    model = onnx.load_from_string(
        to_onnx(build(REFERENCES[name](resolution=32)), dynamic_batch=True)
    )
    ops = [node.op_type for node in model.graph.node]
    assert "BatchNormalization" not in ops
    assert {op: ops.count(op) for op in expected} == expected


def test_folding_is_exact_where_norms_do_something(randomized_norms):
    network = build(REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=5))
    randomized_norms(network)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = network.eval()(images).detach().numpy()
    assert np.std(expected) > 1e-3
    logits = logits_of(to_onnx(network, dynamic_batch=True), images.numpy())
    assert np.allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_batch_is_fixed_or_free():
    network = build(REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=5))
    fixed, free = to_onnx(network), to_onnx(network, dynamic_batch=True)
    images = np.random.default_rng(0).standard_normal((3, 3, 32, 32), dtype=np.float32)
    one_by_one = np.concatenate([logits_of(fixed, images[i : i + 1]) for i in range(3)])
    assert np.allclose(logits_of(free, images), one_by_one, atol=1e-5)
    graph = onnx.load_from_string(free).graph
    for value, rest in ((graph.input[0], [3, 32, 32]), (graph.output[0], [5])):
        batch, *others = value.type.tensor_type.shape.dim
        assert batch.dim_param == "batch"
        assert [d.dim_value for d in others] == rest
    with pytest.raises(Exception, match="Got: 3 Expected: 1"):
        logits_of(fixed, images)


def test_export_leaves_the_mode_alone():
    network = build(REFERENCES["mobilenet_v3_small"](resolution=32)).train()
    to_onnx(network)
    assert network.training
