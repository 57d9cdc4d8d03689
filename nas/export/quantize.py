"""Quantize a network to int8, and measure the effect on accuracy and latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from latency import Latency
from latency.devices import measured
from latency.runtimes.onnx_runtime import OnnxRuntime
from nas.checkpoints.feeding import Feed, Images
from nas.checkpoints.scoring import relabelled
from nas.checkpoints.usage import Usage
from nas.data.images import Dataset, Split
from nas.export.answers import classify
from nas.export.int8_onnx import quantize_onnx
from nas.export.models import Model
from nas.export.onnx_export import Format, checked_onnx
from nas.export.onnx_file import describe_onnx, open_onnx, stamp_onnx
from nas.tasks.classification import Answers
from search_spaces.exporting.pixel_input import Exportable, PixelInput

CALIBRATION_IMAGES = 256

Progress = Callable[[str], None]
"""Called with a description of the current step."""


@dataclass(frozen=True)
class Side:
    """Figures of one of the two compared files.

    Attributes:
        accuracy: Held-out top-1 accuracy, 0..1.
        latency: One inference at batch 1.
        size: Bytes.
    """

    accuracy: float
    latency: Latency
    size: int


@dataclass(frozen=True)
class Comparison:
    """Effect of int8.

    Attributes:
        before: The float file.
        after: The int8 file.
        agreement: Fraction of held-out images that both classify alike, 0..1.
        images: Number of held-out images.
        calibrated_on: Number of calibration images.
        px: Resolution of the images and of the files' input.
    """

    before: Side
    after: Side
    agreement: float
    images: int
    calibrated_on: int
    px: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def calibration_images(
    train: Split, usage: Usage, *, count: int = CALIBRATION_IMAGES, pixels: bool = False
) -> Images:
    """Return a fixed selection of training images (at most `count`, 3, h, w), prepared as in training.

    Args:
        train: The split to draw from.
        usage: How they are prepared.
        count: Number of images.
        pixels: Whether the network normalizes them itself.
    """
    drawn = train.batches(count, generator=torch.Generator().manual_seed(0))
    images, _ = next(iter(drawn))
    return _feed(usage, images.shape[-1], pixels=pixels).prepare(images.numpy())


def _feed(usage: Usage, px: int, *, pixels: bool) -> Feed:
    return Feed(usage, px, values="pixels" if pixels else "normalized")


def onnx_latencies(models: Sequence[bytes]) -> list[Latency]:
    """Measure serialized ONNX models at batch 1 on this machine's CPU, one thread, interleaved.

    Raises:
        MeasurementError: ONNX Runtime refuses a model.
    """
    return [reading.latency for reading in measured(OnnxRuntime()).measure(models)]


ONNX = Format(
    "ONNX",
    ".onnx",
    checked_onnx,
    quantize_onnx,
    open_onnx,
    onnx_latencies,
    describe_onnx,
    stamp_onnx,
)


def quantized(
    files: Format,
    network: Exportable,
    data: Dataset,
    usage: Usage,
    *,
    progress: Progress = lambda _: None,
) -> tuple[bytes, Comparison]:
    """Quantize a trained network to an int8 file and compare it with the float file.

    Ranges are calibrated on training images. Accuracy is measured on held-out images, which neither weights
    nor ranges have seen.

    Args:
        files: The file format.
        network: Its spec's resolution must be that of the data. A `PixelInput` gives a file that takes
            pixels.
        data: Images, with classes matched by name; some of the network's may be missing.
        usage: How the network's images are prepared.
        progress: Called with a description of the current step.

    Raises:
        InputError: The data has a class that the network does not know.
        ExportError: The float file does not compute the same as the network.
        MeasurementError: A file cannot be measured.
    """
    data = relabelled(data, usage)
    progress(f"converting to {files.name}")
    before = files.convert(network)
    pixels = isinstance(network, PixelInput)
    images = calibration_images(data.train, usage, pixels=pixels)
    progress(f"calibrating on {len(images)} images of {data.resolution_px} px")
    quantized_file = files.quantize(before, images)
    before, after = (
        files.described(model, usage, network.spec) for model in (before, quantized_file)
    )
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
    """Compare held-out accuracy and latency of a float file and its int8 version.

    Args:
        files: The file format.
        before: The float file.
        after: The int8 file.
        data: Images at the files' resolution; labels are indices into the network's classes.
        usage: How the images are prepared.
        pixels: Whether the files normalize them themselves.
        progress: Called with a description of the current step.
    """
    feed = _feed(usage, data.resolution_px, pixels=pixels)

    def answers(model: bytes, name: str) -> Answers:
        line = f"{name}: {{}} of {len(data.val)} held-out images"
        opened = Model(feed, files.open(model))
        return classify(opened, data.val, lambda done: progress(line.format(done)))

    answers_before, answers_after = answers(before, "float"), answers(after, "int8")
    progress("measuring both files, interleaved")
    latency_before, latency_after = files.latencies([before, after])
    return Comparison(
        before=Side(answers_before.accuracy, latency_before, len(before)),
        after=Side(answers_after.accuracy, latency_after, len(after)),
        agreement=float(np.mean(answers_before.given == answers_after.given)),
        images=len(data.val),
        calibrated_on=min(CALIBRATION_IMAGES, len(data.train)),
        px=data.resolution_px,
    )
