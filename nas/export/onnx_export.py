"""Export networks to files, checked against torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from latency import Latency
from nas.atomic_files import write_whole
from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.feeding import Feed, Images
from nas.checkpoints.usage import Usage
from nas.export.onnx_file import describe_onnx, open_onnx, stamp_onnx
from nas.export.running import Arrays, Run, as_arrays
from nas.export.sidecar import write_sidecar
from search_spaces import ArchSpec
from search_spaces.exporting.onnx_export import to_onnx
from search_spaces.exporting.pixel_input import Exportable, PixelInput

_log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Maximum difference between a file's outputs and torch's, relative to the largest value above 1."""


@dataclass(frozen=True)
class Format:
    """The functions of one file format.

    Attributes:
        name: Name for people.
        suffix: File suffix.
        convert: Network to float file of batch 1 at its spec's resolution, checked against torch.
        quantize: Float file and prepared calibration images to int8 file.
        open: File to its runtime.
        latencies: Files to their latencies on this machine's CPU, interleaved: one thread, batch 1.
        describe: File to the description of its input.
        stamp: Writes that description into the file.
    """

    name: str
    suffix: str
    convert: Callable[[Exportable], bytes]
    quantize: Callable[[bytes, Images], bytes]
    open: Callable[[bytes], Run]
    latencies: Callable[[Sequence[bytes]], Sequence[Latency]]
    describe: Callable[[bytes, Usage], Feed]
    stamp: Callable[[bytes, Feed], bytes]

    def described(self, model: bytes, usage: Usage, spec: ArchSpec) -> bytes:
        """Return the file with the description of its input."""
        return self.stamp(model, self.describe(model, usage).of_network(spec))


class ExportError(RuntimeError):
    """The exported file does not compute the same as the network."""


def with_preprocessing(checkpoint: Checkpoint) -> PixelInput:
    """Wrap a network, in eval mode, to take pixels 0..255 and normalize them itself."""
    usage = checkpoint.usage
    return PixelInput(checkpoint.network(), checkpoint.spec, mean=usage.mean, std=usage.std).eval()


def checked_onnx(network: Exportable, *, dynamic_batch: bool = False) -> bytes:
    """Convert a network to ONNX, and check its outputs on random images against torch's.

    Raises:
        ExportError: They differ by more than `TOLERANCE`.
    """
    model = to_onnx(network, dynamic_batch=dynamic_batch)
    check(network, open_onnx(model), what="ONNX")
    return model


def keep_onnx(path: Path, checkpoint: Checkpoint) -> bool:
    """Export a checkpoint to ONNX with the description of its input, and a JSON sidecar.

    If the file does not compute the same as the network, log a warning and write nothing: this runs at the
    end of a run, which must not fail here.

    Returns:
        Whether the file was written.
    """
    try:
        model = checked_onnx(checkpoint.network())
    except ExportError as error:
        _log.warning("%s: %s: not written", path, error)
        return False
    feed = describe_onnx(model, checkpoint.usage).of_network(checkpoint.spec)
    write_whole(path, stamp_onnx(model, feed))
    write_sidecar(path, feed)
    return True


def check(network: Exportable, run: Run, *, what: str) -> None:
    """Compare a file's outputs with torch's.

    Raises:
        ExportError: They differ by more than `TOLERANCE`.
    """
    difference = largest_difference(network, run)
    if not difference <= TOLERANCE:  # NaN is a failure too
        raise ExportError(
            f"{what} outputs differ from torch's by {difference:.2g}, over {TOLERANCE:g}"
        )


def largest_difference(network: Exportable, run: Run) -> float:
    """Return the largest difference between a file's outputs and torch's, on two random images."""
    given, images = _random_images(network)
    was_training = network.training
    with torch.inference_mode():
        device = next(network.parameters()).device
        expected = network.eval()(given.to(device))
    network.train(was_training)
    pairs = zip(_each(run(images)), _each(as_arrays(expected)), strict=True)
    return float(np.max([_relative(found, right) for found, right in pairs]))


def _each(outputs: Arrays) -> tuple[NDArray[np.float32], ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _relative(found: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the largest difference of an output, relative to its largest value above 1."""
    return float(np.abs(found - right).max() / max(1.0, float(np.abs(right).max())))


def _random_images(network: Exportable) -> tuple[torch.Tensor, Images]:
    """Return two random images, as input of the network and of its `Run`."""
    side, generator = network.spec.resolution, torch.Generator().manual_seed(0)
    if isinstance(network, PixelInput):
        pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8, generator=generator)
        return pixels, pixels.permute(0, 3, 1, 2).numpy()
    images = torch.randn(2, 3, side, side, generator=generator)
    return images, images.numpy()
