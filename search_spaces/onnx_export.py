"""From a network to an ONNX graph with batch norm folded."""

from __future__ import annotations

import io
import warnings

import torch

from search_spaces.pixel_input import Exportable, example_input

OPSET = 17
"""First opset stated by every runtime that we measure on; h-swish and hard-sigmoid are native ops in it."""


def to_onnx(network: Exportable, *, dynamic_batch: bool = False) -> bytes:
    """The network in eval mode as a serialized ONNX model.

    Input `image` (1 or `batch`, 3, resolution, resolution) float32, or of a `PixelInput`
    (1 or `batch`, resolution, resolution, 3) uint8; output `logits` (1 or `batch`, classes). The
    network's own mode is left as it was.

    Args:
        network: On any device; exported from a CPU copy of its weights' device.
        dynamic_batch: Whether the first axis is free; batch 1 otherwise.
    """
    image = example_input(network)
    axes = {"image": {0: "batch"}, "logits": {0: "batch"}} if dynamic_batch else None
    buffer = io.BytesIO()
    was_training = network.training
    network.eval()
    try:
        with warnings.catch_warnings():
            # The TorchScript-based exporter announces its successor, which takes ten times as long
            # for the same graph; a search exports every candidate.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (image,),
                buffer,  # type: ignore[arg-type] # its annotation forgets file objects
                input_names=["image"],
                output_names=["logits"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        network.train(was_training)
    return buffer.getvalue()
