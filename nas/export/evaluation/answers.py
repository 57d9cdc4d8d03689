"""Run networks on annotated images, and collect what they do there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.scoring import SplitScore
from nas.data.image_files.unreadable import UnreadableError
from nas.data.images import Split
from nas.export.models import Model, of_onnx, open_model
from nas.export.onnx_export import keep_onnx
from nas.tasks import CLASSIFY, task_of
from nas.tasks.outputs import Outputs
from nas.tasks.task import Evidence, Originals

_log = logging.getLogger(__name__)

EVALUATED_AT_ONCE = 64


def outputs_of(model: Model, pixels: NDArray[Any], *, task: str) -> Outputs:
    """Run a network on images, for a task to read.

    Args:
        model: The network.
        pixels: uint8 (n, 3, size, size).
        task: What is learned of the images; see `nas.tasks.task_of`.
    """
    if task == CLASSIFY:  # whose files may return probabilities, and any number of outputs
        return torch.from_numpy(model.logits(pixels))
    return model.tensors(pixels)


def evidence_of(
    model: Model,
    split: Split,
    *,
    task: str,
    originals: Originals | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Evidence:
    """Return what a network does on the images of a split whose classes are the network's.

    Args:
        model: The network.
        split: Images at its resolution.
        task: What is learned of the images; see `nas.tasks.task_of`.
        originals: The images as their files have them, to judge the network in their own size.
        progress: Called with the number of images done.
    """
    meter, done = task_of(task).meter(spec=model.feed.spec, originals=originals), 0
    for images, targets in split.batches(EVALUATED_AT_ONCE):
        meter.add(outputs_of(model, images.numpy(), task=task), targets)
        done += len(images)
        progress(done)
    return meter.evidence()


def score_file(file: Path | bytes, split: Split) -> SplitScore:
    """Return the metric of an exported file in its own runtime.

    Args:
        file: An ONNX or LiteRT file, or a serialized ONNX model with a description of its input.
        split: Images at its resolution; targets are of its classes.

    Raises:
        InputError: See `nas.export.models.open_model`.
    """
    model = of_onnx(file) if isinstance(file, bytes) else open_model(file)
    return SplitScore.of(evidence_of(model, split, task=model.feed.task))


def keep_and_score_onnx(path: Path, checkpoint: Checkpoint, split: Split) -> SplitScore | None:
    """Export a network to ONNX, read the file back, and evaluate it with ONNX Runtime.

    Args:
        path: Where to write the file.
        checkpoint: The network, its weights and its classes.
        split: Images at the network's resolution; targets are of its classes.

    Returns:
        None if no file was written (`nas.export.onnx_export.keep_onnx`) or an image became unreadable: a
        finished run must not fail here.
    """
    if not keep_onnx(path, checkpoint):
        return None
    try:
        return score_file(path, split)
    except UnreadableError as error:
        _log.warning("%s was not evaluated on held-out images: %s", path, error)
        return None
