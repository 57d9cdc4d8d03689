"""TensorFlow's SAME padding: equal to timm's networks of TensorFlow's weights, in ONNX too."""

from dataclasses import replace

import onnxruntime
import pytest
import timm
import torch

from latency.estimates.pieces import pieces
from nas.checkpoints.torch_files import state_bytes
from netadapt.transfer import transfer
from search_spaces import REFERENCES, InputError, count
from search_spaces.exporting.onnx_export import to_onnx
from search_spaces.layers import SameConv2d, average_3x3
from search_spaces.network import build
from search_spaces.spec import from_dict, to_dict, to_yaml

SMALL = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64, classes=7)
SAME = replace(SMALL, padding="same")


@pytest.mark.parametrize("side", [7, 8, 223, 224])
@pytest.mark.parametrize("kernel", [3, 5])
def test_timms_convolution_of_tensorflows_weights(side, kernel):
    theirs = timm.layers.Conv2dSame(3, 4, kernel, stride=2, padding=0, bias=False)
    ours = SameConv2d(3, 4, kernel, 2, 0, bias=False)
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(2, 3, side, side + 1)
    assert torch.equal(ours(image), theirs(image))


def test_an_odd_pixel_is_padded_right_and_below():
    layer = SameConv2d(1, 1, 3, 2, 0, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.ones(1, 1, 3, 3))
    total = layer(torch.ones(1, 1, 4, 4))  # the first window is whole, the last lacks two pixels
    assert total.tolist() == [[[[9, 6], [6, 4]]]]


@pytest.mark.parametrize("stride", [1, 2])
def test_averages_leave_the_padding_out(stride):
    assert torch.allclose(
        average_3x3(torch.full((2, 3, 8, 8), 5.0), stride, "same"),
        torch.full((2, 3, 8 // stride, 8 // stride), 5.0),
    )
    image = torch.arange(16.0).view(1, 1, 4, 4)
    corner = average_3x3(image, 2, "same")[0, 0, 1, 1]  # its window has the pixels 10, 11, 14, 15
    assert corner == pytest.approx(12.5)


def test_the_spec_keeps_it():
    assert SAME.fingerprint != SMALL.fingerprint
    assert "padding" not in to_dict(SMALL)
    assert from_dict(to_dict(SAME)) == SAME
    assert "padding: same" in to_yaml(SAME)
    assert from_dict(to_dict(SMALL)) == SMALL
    with pytest.raises(InputError, match="padding"):
        from_dict({**to_dict(SMALL), "padding": "valid"})


def test_weights_and_costs_are_the_same():
    one, other = build(SMALL).state_dict(), build(SAME).state_dict()
    assert {n: t.shape for n, t in one.items()} == {n: t.shape for n, t in other.items()}
    assert state_bytes(one) == state_bytes(other)
    assert count(SMALL) == count(SAME)


def test_outputs_differ_and_onnx_agrees():
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network, plain = build(SAME), build(SMALL)
    with torch.no_grad():
        for _ in range(20):  # statistics of its own, or all outputs were almost 0
            network(torch.randn(16, 3, 64, 64))
        network.head.classifier[-1].weight.mul_(100)
        plain.load_state_dict(network.state_dict())
        network.eval(), plain.eval()
        logits = network(image)
        assert not torch.allclose(logits, plain(image), atol=1e-3)
    session = onnxruntime.InferenceSession(to_onnx(network))
    (found,) = session.run(None, {"image": image.numpy()})
    assert torch.allclose(torch.from_numpy(found), logits, atol=1e-4)


def test_netadapt_keeps_the_padding_and_the_weights():
    network = build(SAME)
    narrower = replace(
        SAME, blocks=(SAME.blocks[0], replace(SAME.blocks[1], expand=8), *SAME.blocks[2:])
    )
    weights = transfer(SAME, network.state_dict(), narrower, selection="first")
    adapted = build(narrower)
    adapted.load_state_dict(weights)
    assert narrower.padding == "same"
    assert isinstance(adapted.stem[0], SameConv2d)
    assert torch.equal(adapted.stem[0].weight, network.stem[0].weight)


def test_pieces_that_pad_otherwise_are_timed_apart():
    plain, same = ([piece.key for piece in pieces(spec)] for spec in (SMALL, SAME))
    strides = [SAME.stem.stride, *(block.stride for block in SAME.blocks), 1]
    for one, other, stride in zip(plain, same, strides, strict=True):
        assert (one == other) == (stride == 1)
    stem = next(pieces(SAME))
    assert isinstance(build(stem.probe()).stem[0], SameConv2d)
