"""A network in int8, and what that costs in accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from latency import Latency
from nas.checkpoints.checkpoint import Usage
from nas.checkpoints.feeding import Feed, Images
from nas.checkpoints.scoring import relabelled
from nas.data.images import Dataset, Split
from nas.export.answers import Answers, classify
from nas.export.int8_onnx import quantize_onnx
from nas.export.models import Model
from nas.export.onnx_export import Format, checked_onnx
from nas.export.onnx_file import describe_onnx, open_onnx, stamp_onnx
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


def onnx_latencies(models: Sequence[bytes]) -> list[Latency]:
    """Latency of serialized ONNX models at batch 1 on this machine's CPU, one thread, in turns.

    Raises:
        MeasurementError: ONNX Runtime refuses one.
    """
    from latency.devices import measured
    from latency.runtimes.onnx_runtime import OnnxRuntime

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
    """A trained network as an int8 file that says how to feed it, compared with its float file.

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
    data = relabelled(data, usage)
    progress(f"converting to {files.name}")
    before = files.convert(network)
    pixels = isinstance(network, PixelInput)
    images = calibration_images(data.train, usage, pixels=pixels)
    progress(f"calibrating on {len(images)} images of {data.resolution_px} px")
    quantised = files.quantize(before, images)
    before, after = (files.described(model, usage) for model in (before, quantised))
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
