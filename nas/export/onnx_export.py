"""Network files, checked against torch before they are handed out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from nas.atomic_files import write_whole
from nas.checkpoints.checkpoint import Checkpoint, Usage
from nas.checkpoints.feeding import Feed, Images
from nas.export.onnx_file import describe_onnx, open_onnx, stamp_onnx
from nas.export.running import Run
from nas.export.sidecar import write_sidecar
from search_spaces.onnx_export import to_onnx
from search_spaces.pixel_input import Exportable, PixelInput

if TYPE_CHECKING:
    from latency import Latency

_log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference between a file's logits and torch's, relative to the largest logit above 1."""


@dataclass(frozen=True)
class Format:
    """A kind of file: how it is made, run and timed.

    Attributes:
        name: For people.
        suffix: Of its files.
        convert: A network to a float file of batch 1 at its spec's resolution, checked against torch.
        quantize: A float file and images to calibrate on, prepared as it takes them, to an int8 file.
        open: A file to what runs it.
        latencies: Of several files on this machine's CPU, measured in turns: one thread, batch 1.
        describe: A file to how it is fed.
        stamp: Writes that into it.
    """

    name: str
    suffix: str
    convert: Callable[[Exportable], bytes]
    quantize: Callable[[bytes, Images], bytes]
    open: Callable[[bytes], Run]
    latencies: Callable[[Sequence[bytes]], Sequence[Latency]]
    describe: Callable[[bytes, Usage], Feed]
    stamp: Callable[[bytes, Feed], bytes]

    def described(self, model: bytes, usage: Usage) -> bytes:
        """A file that says how to feed it."""
        return self.stamp(model, self.describe(model, usage))


class ExportError(RuntimeError):
    """The exported file does not compute what the network computes."""


def with_preprocessing(seed: Checkpoint) -> PixelInput:
    """A network that takes pixels 0..255 and normalises them itself, in eval mode."""
    usage = seed.usage
    return PixelInput(seed.network(), seed.spec, mean=usage.mean, std=usage.std).eval()


def checked_onnx(network: Exportable, *, dynamic_batch: bool = False) -> bytes:
    """The network as ONNX, after its logits on random images were compared with torch's.

    Raises:
        ExportError: They differ by more than `TOLERANCE`.
    """
    model = to_onnx(network, dynamic_batch=dynamic_batch)
    check(network, open_onnx(model), what="ONNX")
    return model


def keep_onnx(path: Path, seed: Checkpoint) -> bool:
    """Write a checkpoint as ONNX that says how to feed it, and the same as JSON beside it.

    Where the file does not compute the same, warn and write none: it is for the end of a run, which is
    not to be lost for this.

    Returns:
        Whether it was written.
    """
    try:
        model = checked_onnx(seed.network())
    except ExportError as error:
        _log.warning("%s: %s: not written", path, error)
        return False
    feed = describe_onnx(model, seed.usage)
    write_whole(path, stamp_onnx(model, feed))
    write_sidecar(path, feed)
    return True


def check(network: Exportable, run: Run, *, what: str) -> None:
    """Compare a file's logits with torch's.

    Raises:
        ExportError: They differ by more than `TOLERANCE`.
    """
    difference = largest_difference(network, run)
    if not difference <= TOLERANCE:  # NaN is a failure too
        raise ExportError(
            f"{what} logits differ from torch's by {difference:.2g}, over {TOLERANCE:g}"
        )


def largest_difference(network: Exportable, run: Run) -> float:
    """Largest difference between a file's logits and torch's, on two random images."""
    given, images = _random_images(network)
    was_training = network.training
    with torch.inference_mode():
        device = next(network.parameters()).device
        expected = network.eval()(given.to(device)).cpu().numpy()
    network.train(was_training)
    difference: NDArray[np.float32] = np.abs(run(images) - expected)
    return float(difference.max() / max(1.0, float(np.abs(expected).max())))


def _random_images(network: Exportable) -> tuple[torch.Tensor, Images]:
    """Two images as the network takes them, and the same as a `Run` does."""
    side, generator = network.spec.resolution, torch.Generator().manual_seed(0)
    if isinstance(network, PixelInput):
        pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8, generator=generator)
        return pixels, pixels.permute(0, 3, 1, 2).numpy()
    images = torch.randn(2, 3, side, side, generator=generator)
    return images, images.numpy()
