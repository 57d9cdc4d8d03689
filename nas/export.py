"""ONNX files, checked against torch before they are handed out."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import torch

from search_spaces.network import Network
from search_spaces.onnx_export import to_onnx

TOLERANCE = 1e-4
"""Largest difference between the graph's logits and torch's, relative to the largest logit above 1."""


class ExportError(RuntimeError):
    """The exported graph does not compute what the network computes."""


def checked_onnx(network: Network, *, dynamic_batch: bool = False) -> bytes:
    """The network as ONNX, after its logits on random images were compared with torch's.

    Raises:
        ExportError: They differ by more than `TOLERANCE`.
    """
    model = to_onnx(network, dynamic_batch=dynamic_batch)
    difference = largest_difference(network, model)
    if difference > TOLERANCE:
        raise ExportError(
            f"ONNX logits differ from torch's by {difference:.2g}, over {TOLERANCE:g}"
        )
    return model


def largest_difference(network: Network, model: bytes) -> float:
    """Largest difference between the logits of ONNX Runtime and torch on one random image."""
    side = network.spec.resolution
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    was_training = network.training
    with torch.inference_mode():
        expected = network.eval()(image.to(next(network.parameters()).device)).cpu().numpy()
    network.train(was_training)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": image.numpy()})
    return float(np.abs(logits - expected).max() / max(1.0, float(np.abs(expected).max())))
