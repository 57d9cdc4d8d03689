"""Export networks to files, checked against torch."""

from __future__ import annotations

import copy
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
"""Maximum difference of an output from torch's, relative to its largest value above 1."""

ROUNDING = 16
"""Where a network magnifies rounding, its file may be this many times as far from float64 as torch is.

Files sum in another order, and fold batch norm into weights; and few outputs may be close by luck.
"""

LOOSEST = 0.05
"""But no further: so far off, a wrong file could not be told from rounding."""


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
        ExportError: See `check`.
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


def check(network: Exportable, run: Run, *, what: str, images: Images | None = None) -> None:
    """Compare a file's outputs with torch's.

    Some networks magnify rounding errors, such as a detector after a few steps of training: then torch's
    float32 is as far from the exact outputs as the file, and both are compared with torch's float64.

    Args:
        network: The network.
        run: The file's runtime.
        what: The file's format, for messages.
        images: See `largest_difference`.

    Raises:
        ExportError: They differ by more than `TOLERANCE`, and by more than rounding.
    """
    images = random_images(network) if images is None else images
    difference = largest_difference(network, run, images)
    if difference <= TOLERANCE:
        return
    exact = _outputs(copy.deepcopy(network).double(), images)
    of_file, of_torch = _furthest(run(images), exact), _furthest(_outputs(network, images), exact)
    if not of_file <= min(LOOSEST, ROUNDING * of_torch):  # NaN is a failure too
        raise ExportError(
            f"{what} outputs differ from torch's by {difference:.2g}, over {TOLERANCE:g}, and from its "
            f"float64 by {of_file:.2g} (torch's float32: {of_torch:.2g})"
        )


def largest_difference(network: Exportable, run: Run, images: Images | None = None) -> float:
    """Return the largest difference between a file's outputs and torch's, relative to an output's size.

    Args:
        network: The network.
        run: The file's runtime.
        images: Prepared images (n, 3, side, side); two random ones by default.
    """
    images = random_images(network) if images is None else images
    return _furthest(run(images), _outputs(network, images))


def random_images(network: Exportable) -> Images:
    """Return two random images (2, 3, side, side), as the network takes them."""
    side, generator = network.spec.resolution, torch.Generator().manual_seed(0)
    if isinstance(network, PixelInput):
        pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8, generator=generator)
        return pixels.permute(0, 3, 1, 2).numpy()
    return torch.randn(2, 3, side, side, generator=generator).numpy()


def _outputs(network: Exportable, images: Images) -> Arrays:
    """Return a network's outputs in eval mode, in the precision of its weights."""
    weight = next(network.parameters())
    given = torch.from_numpy(images).to(weight.device)
    given = given.permute(0, 2, 3, 1) if isinstance(network, PixelInput) else given.to(weight.dtype)
    was_training = network.training
    with torch.inference_mode():
        outputs = network.eval()(given)
    network.train(was_training)
    return as_arrays(outputs)


def _furthest(found: Arrays, right: Arrays) -> float:
    """Return the largest difference of any output, relative to the output's largest value above 1."""
    pairs = zip(_each(found), _each(right), strict=True)
    relative = [np.abs(one - other).max() / max(1.0, np.abs(other).max()) for one, other in pairs]
    return float(np.max(relative))


def _each(outputs: Arrays) -> tuple[NDArray[np.float32], ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
