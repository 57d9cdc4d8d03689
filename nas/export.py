"""Network files, checked against torch before they are handed out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from nas.files import write_whole
from search_spaces.network import Network
from search_spaces.onnx_export import to_onnx

if TYPE_CHECKING:
    from latency import Latency

_log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference between a file's logits and torch's, relative to the largest logit above 1."""

Images = NDArray[np.float32]
"""Normalised images (n, 3, h, w)."""

Run = Callable[[Images], NDArray[np.float32]]
"""Images (n, 3, h, w), normalised, to logits (n, classes), whatever the file's own layout and types."""


@dataclass(frozen=True)
class Format:
    """A kind of file: how it is made, run and timed.

    Attributes:
        name: For people.
        suffix: Of its files.
        convert: A network to a float file of batch 1 at its spec's resolution, checked against torch.
        quantize: A float file and images to calibrate on, to an int8 file.
        open: A file to what runs it.
        latencies: Of several files on this machine's CPU, measured in turns: one thread, batch 1.
    """

    name: str
    suffix: str
    convert: Callable[[Network], bytes]
    quantize: Callable[[bytes, Images], bytes]
    open: Callable[[bytes], Run]
    latencies: Callable[[Sequence[bytes]], Sequence[Latency]]


class ExportError(RuntimeError):
    """The exported file does not compute what the network computes."""


def checked_onnx(network: Network, *, dynamic_batch: bool = False) -> bytes:
    """The network as ONNX, after its logits on random images were compared with torch's.

    Raises:
        ExportError: They differ by more than `TOLERANCE`.
    """
    model = to_onnx(network, dynamic_batch=dynamic_batch)
    check(network, open_onnx(model), what="ONNX")
    return model


def keep_onnx(path: Path, network: Network) -> bytes | None:
    """Write a network as ONNX; where the file does not compute the same, warn and write none.

    It is for the end of a run, which is not to be lost for this.

    Returns:
        The file's content, if it was written.
    """
    try:
        model = checked_onnx(network)
    except ExportError as error:
        _log.warning("%s: %s: not written", path, error)
        return None
    write_whole(path, model)
    return model


def check(network: Network, run: Run, *, what: str) -> None:
    """Compare a file's logits with torch's.

    Raises:
        ExportError: They differ by more than `TOLERANCE`.
    """
    difference = largest_difference(network, run)
    if not difference <= TOLERANCE:  # NaN is a failure too
        raise ExportError(
            f"{what} logits differ from torch's by {difference:.2g}, over {TOLERANCE:g}"
        )


def largest_difference(network: Network, run: Run) -> float:
    """Largest difference between a file's logits and torch's, on two random images."""
    side = network.spec.resolution
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    was_training = network.training
    with torch.inference_mode():
        device = next(network.parameters()).device
        expected = network.eval()(images.to(device)).cpu().numpy()
    network.train(was_training)
    logits = run(images.numpy())
    return float(np.abs(logits - expected).max() / max(1.0, float(np.abs(expected).max())))


def open_onnx(model: bytes) -> Run:
    """A serialized ONNX model as what runs it on the CPU, in steps of its own batch size."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    batch = session.get_inputs()[0].shape[0]

    def run(images: Images) -> NDArray[np.float32]:
        step = batch if isinstance(batch, int) else len(images)
        parts = range(0, len(images), step)
        return np.concatenate(
            [session.run(None, {"image": images[i : i + step]})[0] for i in parts]
        )

    return run
