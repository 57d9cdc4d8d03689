"""Classify labelled images, and compute the accuracy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.scoring import SplitScore
from nas.data.image_files.unreadable import UnreadableError
from nas.data.images import Split
from nas.export.models import Model, of_onnx, open_model
from nas.export.onnx_export import keep_onnx
from nas.tasks import CLASSIFY, task_of
from nas.tasks.classification import Answers, AnswersMeter
from nas.tasks.task import Evidence, Originals

_log = logging.getLogger(__name__)

EVALUATED_AT_ONCE = 64


def classify(
    model: Model, split: Split, progress: Callable[[int], None] = lambda _: None
) -> Answers:
    """Classify a split whose labels are indices into the network's classes.

    Args:
        model: The network.
        split: Images at its resolution.
        progress: Called with the number of images done.
    """
    meter, done = AnswersMeter(), 0
    for images, labels in split.batches(EVALUATED_AT_ONCE):
        meter.add(torch.from_numpy(model.logits(images.numpy())), labels)
        done += len(images)
        progress(done)
    return meter.evidence()


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
    if task == CLASSIFY:  # whose files may return probabilities, and any number of outputs
        return classify(model, split, progress)
    meter, done = task_of(task).meter(spec=model.feed.spec, originals=originals), 0
    for images, targets in split.batches(EVALUATED_AT_ONCE):
        meter.add(model.tensors(images.numpy()), targets)
        done += len(images)
        progress(done)
    return meter.evidence()


def score_file(file: Path | bytes, split: Split) -> SplitScore:
    """Return the metric of an exported file in its own runtime.

    Args:
        file: An ONNX or LiteRT file, or a serialized ONNX model with a description of its input.
        split: Images at its resolution, with targets of its classes.

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
        split: Images at the network's resolution, with targets of its classes.

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
