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
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from latency import Latency
from nas.export import Format, Images, Run, checked_onnx, open_onnx
from nas.scoring import relabelled
from nas.seeds import Usage
from nas.training.augment import normalize
from nas.training.images import Dataset, Split
from search_spaces.network import Network

CALIBRATION_IMAGES = 256
EVALUATED_AT_ONCE = 64

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


def calibration_images(train: Split, usage: Usage, *, count: int = CALIBRATION_IMAGES) -> Images:
    """Training images (at most `count`, 3, h, w), the same ones each time, prepared as in training."""
    drawn = train.batches(count, generator=torch.Generator().manual_seed(0))
    images, _ = next(iter(drawn))
    return _prepared(images, usage)


def _prepared(images: torch.Tensor, usage: Usage) -> Images:
    floats = normalize(images, mean=usage.mean, std=usage.std)
    prepared: Images = floats.contiguous().numpy()
    return prepared


def quantize_onnx(model: bytes, images: Images, *, reduce_range: bool = False) -> bytes:
    """A float ONNX model in int8.

    Args:
        model: Serialized, with one input `image`.
        images: To calibrate on (n, 3, h, w), prepared as in training.
        reduce_range: Weights of 7 bits. x86 processors without VNNI add two products of 8 bits in 16,
            which can overflow; with 7 bits it cannot.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            _without_aliases(onnx.load_from_string(model)),
            path,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return bytes(_without_unused(onnx.load(path)).SerializeToString())


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
        self._feeds = iter(images[:, None])  # each (1, 3, h, w)

    def get_next(self) -> dict[str, Images] | None:
        image = next(self._feeds, None)
        return None if image is None else {"image": image}


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


ONNX = Format("ONNX", ".onnx", checked_onnx, quantize_onnx, open_onnx, onnx_latencies)


def quantized(
    files: Format,
    network: Network,
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
        network: Its spec's resolution must be that of the data.
        data: Images of classes that the network knows, by name; not all of them need to be there.
        usage: How the network's images are prepared.
        progress: Told what is being done.

    Raises:
        InputError: The data has a class that the network does not know.
        ExportError: The float file does not compute what the network computes.
        MeasurementError: A file cannot be measured.
    """
    data = relabelled(data, usage)
    progress(f"converting to {files.name}")
    before = files.convert(network)
    images = calibration_images(data.train, usage)
    progress(f"calibrating on {len(images)} images of {data.resolution_px} px")
    after = files.quantize(before, images)
    compared = compare(files, before, after, data=data, usage=usage, progress=progress)
    return after, compared


def compare(
    files: Format,
    before: bytes,
    after: bytes,
    *,
    data: Dataset,
    usage: Usage,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Accuracy on the validation images and latency of a float file and its int8 one."""

    def answers(model: bytes, name: str) -> Answers:
        told = f"{name}: {{}} of {len(data.val)} held-out images"
        return classify(
            files.open(model), data.val, usage, lambda done: progress(told.format(done))
        )

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


class Answers(NamedTuple):
    """Classes that a file gives to images (n,), and the right ones (n,)."""

    given: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return float(np.mean(self.given == self.right))


def classify(
    run: Run, split: Split, usage: Usage, progress: Callable[[int], None] = lambda _: None
) -> Answers:
    """Let a file classify a split, whose images are prepared as in training."""
    given, right = [], []
    for images, labels in split.batches(EVALUATED_AT_ONCE):
        given.append(run(_prepared(images, usage)).argmax(axis=1))
        right.append(labels.numpy())
        progress(sum(map(len, right)))
    return Answers(np.concatenate(given), np.concatenate(right))
