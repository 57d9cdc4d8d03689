"""Export a network to an ONNX graph with folded batch norm."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from search_spaces.exporting.pixel_input import Exportable, example_input
from search_spaces.heads.specs import output_names

OPSET = 17
"""Supported by every runtime that we measure on, with h-swish and hard sigmoid as native operators."""


def to_onnx(
    network: Exportable, *, dynamic_batch: bool = False, width_px: int | None = None
) -> bytes:
    """Export a network in eval mode to a serialized ONNX model.

    Input `image` (1 or `batch`, 3, resolution, resolution) float32, or for a `PixelInput`
    (1 or `batch`, resolution, resolution, 3) uint8. Output `logits`, or SSDLite's `scores` and `boxes`; see
    `Network`. The network's mode is not changed.

    Args:
        network: On any device.
        dynamic_batch: Whether the first axis is free; batch 1 otherwise.
        width_px: Width of the input; the network's resolution, its height, by default.
    """
    image = example_input(network, width_px=width_px)
    outputs = output_names(network.spec.head)
    was_training = network.training
    network.eval()
    try:
        return traced(
            network, (image,), inputs=["image"], outputs=outputs, dynamic_batch=dynamic_batch
        )
    finally:
        network.train(was_training)


def traced(
    module: nn.Module,
    given: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_batch: bool,
) -> bytes:
    """Export a module in eval mode to a serialized ONNX model.

    Args:
        module: The module.
        given: Example of its inputs.
        inputs: Their names.
        outputs: Names of its outputs.
        dynamic_batch: Whether the first axis of all is free.
    """
    axes = {name: {0: "batch"} for name in (*inputs, *outputs)} if dynamic_batch else None
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript-based exporter warns about its successor, which takes ten times as long for
        # the same graph; a search exports every candidate.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            given,
            buffer,  # type: ignore[arg-type] # its annotation lacks file objects
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()
