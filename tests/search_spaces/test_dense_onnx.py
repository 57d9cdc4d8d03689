"""Exported detectors and segmentation networks compute what they do in torch."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from search_spaces import REFERENCES
from search_spaces.exporting.onnx_export import to_onnx
from search_spaces.exporting.pixel_input import PixelInput
from search_spaces.heads.named import with_head
from search_spaces.network import build


@pytest.mark.parametrize("head", ["ssdlite", "ssdlite-half", "lraspp", "lraspp-os32", "raspp-rf2"])
def test_every_output_is_exported(head):
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=96), head, classes=4)
    network = build(spec).eval()
    session = onnxruntime.InferenceSession(to_onnx(network, dynamic_batch=True))
    names = [output.name for output in session.get_outputs()]
    assert names == (["scores", "boxes"] if head.startswith("ssdlite") else ["logits"])
    images = torch.randn(3, 3, 96, 96)
    with torch.no_grad():
        expected = network(images)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for ours, theirs in zip(session.run(None, {"image": images.numpy()}), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=1e-3)


def test_pixels_go_in_where_the_network_normalizes():
    spec = with_head(REFERENCES["mobilenet_v2"](resolution=64, width=0.35), "ssdlite", classes=2)
    network = build(spec).eval()
    fed = PixelInput(network, spec, mean=(0.5,) * 3, std=(0.25,) * 3).eval()
    session = onnxruntime.InferenceSession(to_onnx(fed))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    scores, boxes = session.run(None, {"image": pixels})
    with torch.no_grad():
        expected = fed(torch.from_numpy(pixels))
    np.testing.assert_allclose(scores, expected[0], atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(boxes, expected[1], atol=1e-4, rtol=1e-3)


def test_images_may_be_wide():
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=64), "lraspp", classes=3)
    network = build(spec).eval()
    session = onnxruntime.InferenceSession(to_onnx(network, width_px=128))
    image = torch.randn(1, 3, 64, 128)
    (logits,) = session.run(None, {"image": image.numpy()})
    assert logits.shape == (1, 3, 8, 16)
    with torch.no_grad():
        np.testing.assert_allclose(logits, network(image), atol=1e-4, rtol=1e-3)
