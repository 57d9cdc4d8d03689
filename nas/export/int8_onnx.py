"""Int8 ONNX by static quantization.

Weights are int8 with a scale per output channel, activations uint8 with a scale per tensor, expressed by
QuantizeLinear and DequantizeLinear nodes (QDQ). The ranges of activations are those observed on calibration
images.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from nas.checkpoints.feeding import Images
from nas.export.running import channels_last

LAYERS = ("Conv", "Gemm")
"""Operators with weights."""


def quantize_onnx(model: bytes, images: Images, *, reduce_range: bool = False) -> bytes:
    """Quantize a float ONNX model to int8.

    Args:
        model: Serialized, with one input `image`.
        images: Calibration images (n, 3, h, w), prepared for the model.
        reduce_range: Use 7 bits for weights. x86 processors without VNNI add two 8-bit products in 16 bits,
            which can overflow.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path, content = Path(folder) / "int8.onnx", _without_aliases(onnx.load_from_string(model))
        quantize_static(
            content,
            path,
            _Reader(images),
            nodes_to_exclude=_outside_layers(content),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return bytes(_without_unused(onnx.load(path)).SerializeToString())


def _outside_layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes before the first layer with weights, and of those behind the last.

    The former normalize pixels, the latter join the outputs of a detector's predictors, or add the two maps
    of a segmentation network. Quantizing them would add a rounding each, and give all maps one range.
    """
    nodes = model.graph.node
    names = [node.name for node in itertools.takewhile(lambda it: it.op_type not in LAYERS, nodes)]
    needed: set[str] = set()  # by a layer, directly or not
    for node in reversed(nodes):  # in topological order
        if node.op_type in LAYERS or needed.intersection(node.output):
            needed.update(node.input)
        else:
            names.append(node.name)
    return names


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop unused constants, of which ONNX Runtime would warn.

    The quantizer leaves float weights next to its own, and the limits of a ReLU6 that its range replaces.
    """
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        if node.output[0] not in used:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    return model


def _without_aliases(model: onnx.ModelProto) -> onnx.ModelProto:
    """Duplicate constants that the exporter shares between layers, such as equal biases.

    The quantizer does not recognize a bias behind an Identity node as constant, and would leave its
    convolution in float.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity"]:
        if node.input[0] in constants:
            own = graph.initializer.add()
            own.CopyFrom(constants[node.input[0]])
            own.name = node.output[0]
            graph.node.remove(node)
    return model


class _Reader:
    """Yields calibration images one by one, as onnxruntime expects."""

    def __init__(self, images: Images) -> None:
        # Each (1, 3, h, w); raw pixels are channels-last.
        fed = images[:, None]
        self._feeds = map(channels_last, fed) if images.dtype == np.uint8 else iter(fed)

    def get_next(self) -> dict[str, Images] | None:
        image = next(self._feeds, None)
        return None if image is None else {"image": image}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's messages off the root logger and standard output, which is for results."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
