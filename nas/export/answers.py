"""What a network answers to labelled images, and how often it is right."""

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
    """Classes that a network gives to images (n,), and the right ones (n,)."""

    given: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return float(np.mean(self.given == self.right))

    def score(self) -> SplitScore:
        """The accuracy with its interval."""
        return SplitScore.of(self.accuracy, len(self.right))


def joined(parts: Sequence[Answers]) -> Answers:
    """Answers to several splits as one."""
    given, right = zip(*parts, strict=True)
    return Answers(np.concatenate(given), np.concatenate(right))


def classify(
    model: Model, split: Split, progress: Callable[[int], None] = lambda _: None
) -> Answers:
    """Let a network classify a split whose labels are indices into its classes.

    Args:
        model: The network.
        split: Images of the size that it takes.
        progress: Told how many images are done.
    """
    given, right = [], []
    for images, labels in split.batches(EVALUATED_AT_ONCE):
        given.append(model.logits(images.numpy()).argmax(axis=1))
        right.append(labels.numpy())
        progress(sum(map(len, right)))
    return Answers(np.concatenate(given), np.concatenate(right))


def score_file(file: Path | bytes, split: Split) -> SplitScore:
    """Top-1 accuracy of an exported file, computed by its own runtime.

    Args:
        file: An ONNX or LiteRT file, or a serialized ONNX model that says how to feed it.
        split: Images of the size that it takes; labels are indices into its classes.

    Raises:
        InputError: See `nas.export.models.open_model`.
    """
    model = of_onnx(file) if isinstance(file, bytes) else open_model(file)
    return classify(model, split).score()


def keep_and_score_onnx(path: Path, seed: Checkpoint, split: Split) -> SplitScore | None:
    """Write a network as ONNX, read the file back, and score it with ONNX Runtime.

    Args:
        path: Of the file.
        seed: The network, its weights, and the classes that the split's labels are indices into.
        split: Images of the network's size.

    Returns:
        None if no file was written (`nas.export.onnx_export.keep_onnx`) or an image became unreadable: a
        finished run must not fail here.
    """
    if not keep_onnx(path, seed):
        return None
    try:
        return score_file(path, split)
    except UnreadableError as error:
        _log.warning("%s was not scored on held-out images: %s", path, error)
        return None
