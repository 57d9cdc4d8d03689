"""Classify labelled images, and compute the accuracy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.scoring import SplitScore
from nas.data.image_files.unreadable import UnreadableError
from nas.data.images import Split
from nas.export.models import Model, of_onnx, open_model
from nas.export.onnx_export import keep_onnx

_log = logging.getLogger(__name__)

EVALUATED_AT_ONCE = 64


class Answers(NamedTuple):
    """Predicted classes of images (n,), and the labels (n,)."""

    given: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0..1."""
        return float(np.mean(self.given == self.right))

    def score(self) -> SplitScore:
        """The accuracy with its interval."""
        return SplitScore.of(self.accuracy, len(self.right))


def joined(parts: Sequence[Answers]) -> Answers:
    """Concatenate the answers to several splits."""
    given, right = zip(*parts, strict=True)
    return Answers(np.concatenate(given), np.concatenate(right))


def classify(
    model: Model, split: Split, progress: Callable[[int], None] = lambda _: None
) -> Answers:
    """Classify a split whose labels are indices into the network's classes.

    Args:
        model: The network.
        split: Images at its resolution.
        progress: Called with the number of images done.
    """
    given, right = [], []
    for images, labels in split.batches(EVALUATED_AT_ONCE):
        given.append(model.logits(images.numpy()).argmax(axis=1))
        right.append(labels.numpy())
        progress(sum(map(len, right)))
    return Answers(np.concatenate(given), np.concatenate(right))


def score_file(file: Path | bytes, split: Split) -> SplitScore:
    """Return the top-1 accuracy of an exported file in its own runtime.

    Args:
        file: An ONNX or LiteRT file, or a serialized ONNX model with a description of its input.
        split: Images at its resolution; labels are indices into its classes.

    Raises:
        InputError: See `nas.export.models.open_model`.
    """
    model = of_onnx(file) if isinstance(file, bytes) else open_model(file)
    return classify(model, split).score()


def keep_and_score_onnx(path: Path, checkpoint: Checkpoint, split: Split) -> SplitScore | None:
    """Export a network to ONNX, read the file back, and evaluate it with ONNX Runtime.

    Args:
        path: Where to write the file.
        checkpoint: The network, its weights and its classes.
        split: Images at the network's resolution; labels are indices into its classes.

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
