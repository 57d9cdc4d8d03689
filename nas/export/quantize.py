"""Quantize a network to int8, and measure the effect on its metric and latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from latency import Latency
from latency.devices import measured
from latency.runtimes.onnx_runtime import OnnxRuntime
from nas.checkpoints.feeding import Feed, Images
from nas.checkpoints.scoring import relabelled
from nas.checkpoints.usage import Usage
from nas.data.images import Dataset, Split
from nas.export.evaluation.answers import EVALUATED_AT_ONCE, outputs_of
from nas.export.int8_onnx import quantize_onnx
from nas.export.models import Model
from nas.export.onnx_export import Format, checked_onnx
from nas.export.onnx_file import describe_onnx, open_onnx, stamp_onnx
from nas.tasks import task_of
from nas.tasks.intervals import Difference
from nas.tasks.task import Evidence
from search_spaces.exporting.pixel_input import Exportable, PixelInput

CALIBRATION_IMAGES = 256

Progress = Callable[[str], None]
"""Called with a description of the current step."""


@dataclass(frozen=True)
class Side:
    """Figures of one of the two compared files.

    Attributes:
        accuracy: The task's metric on held-out images, 0..1.
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
        metric: Name of the task's metric.
        difference: How much higher int8's metric is, with its paired interval.
        agreement: Mean extent to which both say the same of a held-out image, 0..1.
        images: Number of held-out images.
        calibrated_on: Number of calibration images.
        px: Resolution of the images and of the files' input.
    """

    before: Side
    after: Side
    metric: str
    difference: Difference
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


def held_out_images(val: Split, usage: Usage, *, count: int, pixels: bool = False) -> Images:
    """Return the first held-out images (at most `count`, 3, h, w); see `calibration_images`."""
    images, _ = next(iter(val.batches(count)))
    return _feed(usage, images.shape[-1], pixels=pixels).prepare(images.numpy())


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

    Ranges are calibrated on training images. The task's metric is that of held-out images, which neither
    weights nor ranges have seen.

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
    feed = _feed(usage, data.resolution_px, pixels=pixels).of_network(network.spec)
    return after, compare(files, before, after, data=data, feed=feed, progress=progress)


def compare(
    files: Format,
    before: bytes,
    after: bytes,
    *,
    data: Dataset,
    feed: Feed,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Compare the metric on held-out images, and the latency, of a float file and its int8 version.

    Args:
        files: The file format.
        before: The float file.
        after: The int8 file.
        data: Images at the files' resolution; targets are of the network's classes.
        feed: How both files are fed: normalized images or pixels, channels first.
        progress: Called with a description of the current step.
    """
    models = [Model(feed, files.open(model)) for model in (before, after)]
    float_evidence, int8_evidence, agreement = _side_by_side(models, data, progress)
    progress("measuring both files, interleaved")
    latency_before, latency_after = files.latencies([before, after])
    return Comparison(
        before=Side(float_evidence.score().accuracy, latency_before, len(before)),
        after=Side(int8_evidence.score().accuracy, latency_after, len(after)),
        metric=task_of(data.task).metric.name,
        difference=int8_evidence.minus(float_evidence),
        agreement=agreement,
        images=len(data.val),
        calibrated_on=min(CALIBRATION_IMAGES, len(data.train)),
        px=data.resolution_px,
    )


def _side_by_side(
    models: Sequence[Model], data: Dataset, progress: Progress
) -> tuple[Evidence, Evidence, float]:
    """Return what two files do on the held-out images, and how far they agree there."""
    task, spec = task_of(data.task), models[0].feed.spec
    ours, theirs = (task.meter(spec=spec) for _ in models)
    agreeing, done = 0.0, 0
    for images, targets in data.val.batches(EVALUATED_AT_ONCE):
        outputs = [outputs_of(model, images.numpy(), task=data.task) for model in models]
        ours.add(outputs[0], targets)
        theirs.add(outputs[1], targets)
        pairs = zip(*(task.predictions(each, spec=spec) for each in outputs), strict=True)
        agreeing += sum(one.agreement(other) for one, other in pairs)
        done += len(images)
        progress(f"float and int8: {done} of {len(data.val)} held-out images")
    return ours.evidence(), theirs.evidence(), agreeing / done
