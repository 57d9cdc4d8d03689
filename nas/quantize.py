"""Int8 ONNX by static quantisation, and what it costs in accuracy.

Weights are int8 with a scale for each output channel, activations uint8 with a scale for each tensor, held
by QuantizeLinear and DequantizeLinear nodes (QDQ). The ranges of activations are those seen on
calibration images.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from latency import Latency
from nas.answers import Answers, classify
from nas.export import Format, checked_onnx
from nas.feeding import Feed, Images
from nas.models import Model
from nas.onnx_file import open_onnx, stamp_onnx
from nas.scoring import relabelled
from nas.seeds import Usage
from nas.training.images import Dataset, Split
from search_spaces.pixel_input import Exportable, PixelInput

CALIBRATION_IMAGES = 256

Progress = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True)
class Side:
    """One of two files that are compared.

    Attributes:
        accuracy: Top-1 on held-out images, 0..1.
        latency: Of one inference at batch 1.
        size: In bytes.
    """

    accuracy: float
    latency: Latency
    size: int


@dataclass(frozen=True)
class Comparison:
    """What int8 changes.

    Attributes:
        before: The float file.
        after: The int8 file.
        agreement: Share of held-out images to which both give the same class, 0..1.
        images: How many were held out.
        calibrated_on: How many images the ranges of activations come from.
        px: Their side, which is also that of the files' input.
    """

    before: Side
    after: Side
    agreement: float
    images: int
    calibrated_on: int
    px: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def calibration_images(
    train: Split, usage: Usage, *, count: int = CALIBRATION_IMAGES, pixels: bool = False
) -> Images:
    """Training images (at most `count`, 3, h, w), the same ones each time, prepared as in training.

    Args:
        train: Where they are drawn from.
        usage: How they are prepared.
        count: How many.
        pixels: Whether the network normalises them itself.
    """
    drawn = train.batches(count, generator=torch.Generator().manual_seed(0))
    images, _ = next(iter(drawn))
    return _feed(usage, images.shape[-1], pixels=pixels).prepare(images.numpy())


def _feed(usage: Usage, px: int, *, pixels: bool) -> Feed:
    return Feed(usage, px, values="pixels" if pixels else "normalized")


def quantize_onnx(model: bytes, images: Images, *, reduce_range: bool = False) -> bytes:
    """A float ONNX model in int8.

    Args:
        model: Serialized, with one input `image`.
        images: To calibrate on (n, 3, h, w), prepared as the model takes them.
        reduce_range: Weights of 7 bits. x86 processors without VNNI add two products of 8 bits in 16,
            which can overflow; with 7 bits it cannot.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path, content = Path(folder) / "int8.onnx", _without_aliases(onnx.load_from_string(model))
        quantize_static(
            content,
            path,
            _Reader(images),
            nodes_to_exclude=_before_first_layer(content),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return bytes(_without_unused(onnx.load(path)).SerializeToString())


def _before_first_layer(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes in front of the first convolution: those that normalise pixels.

    In int8 each of them would round once more.
    """
    names = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            break
        names.append(node.name)
    return names


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop constants that nothing reads any more; ONNX Runtime warns of each.

    The quantiser leaves float weights beside its own, and the limits of a ReLU6 that its range replaces.
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
    """Write out constants that the exporter stored once for several layers, as equal biases are.

    A bias that comes by an Identity node is not seen to be constant, and its convolution would run in
    float.
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
    """Calibration images one at a time, as onnxruntime asks for them."""

    def __init__(self, images: Images) -> None:
        # Each (1, 3, h, w); pixels go in channels last.
        self._feeds = (_channels_last(image) for image in images[:, None])

    def get_next(self) -> dict[str, Images] | None:
        image = next(self._feeds, None)
        return None if image is None else {"image": image}


def _channels_last(image: Images) -> Images:
    if image.dtype != np.uint8:
        return image
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's remarks off the root logger and standard output, which is for results."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def onnx_latencies(models: Sequence[bytes]) -> list[Latency]:
    """Latency of serialized ONNX models at batch 1 on this machine's CPU, one thread, in turns.

    Raises:
        MeasurementError: ONNX Runtime refuses one.
    """
    from latency.devices import measured
    from latency.onnx_runtime import OnnxRuntime

    return [reading.latency for reading in measured(OnnxRuntime()).measure(models)]


ONNX = Format("ONNX", ".onnx", checked_onnx, quantize_onnx, open_onnx, onnx_latencies, stamp_onnx)


def quantized(
    files: Format,
    network: Exportable,
    data: Dataset,
    usage: Usage,
    *,
    progress: Progress = lambda _: None,
) -> tuple[bytes, Comparison]:
    """A trained network as an int8 file, compared with its float file.

    Ranges are calibrated on training images; accuracy is told on the validation images, which the
    weights and the ranges have not seen.

    Args:
        files: What kind of file.
        network: Its spec's resolution must be that of the data. A `PixelInput` makes a file that takes
            pixels.
        data: Images of classes that the network knows, by name; not all of them need to be there.
        usage: How the network's images are prepared.
        progress: Told what is being done.

    Raises:
        InputError: The data has a class that the network does not know.
        ExportError: The float file does not compute what the network computes.
        MeasurementError: A file cannot be measured.
    """
    data = relabelled(data, usage.classes)
    progress(f"converting to {files.name}")
    before = files.convert(network)
    pixels = isinstance(network, PixelInput)
    images = calibration_images(data.train, usage, pixels=pixels)
    progress(f"calibrating on {len(images)} images of {data.resolution_px} px")
    after = files.quantize(before, images)
    compared = compare(
        files, before, after, data=data, usage=usage, pixels=pixels, progress=progress
    )
    return after, compared


def compare(
    files: Format,
    before: bytes,
    after: bytes,
    *,
    data: Dataset,
    usage: Usage,
    pixels: bool = False,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Accuracy on the validation images and latency of a float file and its int8 one.

    Args:
        files: What kind of file.
        before: The float file.
        after: The int8 file.
        data: Images of the files' size; labels are indices into the network's classes.
        usage: How the images are prepared.
        pixels: Whether the files normalise them themselves.
        progress: Told what is being done.
    """
    feed = _feed(usage, data.resolution_px, pixels=pixels)

    def answers(model: bytes, name: str) -> Answers:
        told = f"{name}: {{}} of {len(data.val)} held-out images"
        opened = Model(feed, files.open(model))
        return classify(opened, data.val, lambda done: progress(told.format(done)))

    answers_before, answers_after = answers(before, "float"), answers(after, "int8")
    progress("timing both files in turns")
    latency_before, latency_after = files.latencies([before, after])
    return Comparison(
        before=Side(answers_before.accuracy, latency_before, len(before)),
        after=Side(answers_after.accuracy, latency_after, len(after)),
        agreement=float(np.mean(answers_before.given == answers_after.given)),
        images=len(data.val),
        calibrated_on=min(CALIBRATION_IMAGES, len(data.train)),
        px=data.resolution_px,
    )
