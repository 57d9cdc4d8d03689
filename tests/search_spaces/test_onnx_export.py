import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from search_spaces import REFERENCES, load_space
from search_spaces.network import build
from search_spaces.onnx_export import OPSET, to_onnx


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


def test_export_leaves_the_mode_alone():
    network = build(REFERENCES["mobilenet_v3_small"](resolution=32)).train()
    to_onnx(network)
    assert network.training
