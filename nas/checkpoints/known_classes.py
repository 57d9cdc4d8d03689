"""Whether a checkpoint knows the classes of some images, and a new classifier where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset


def fits_classes(checkpoint: Checkpoint, data: Dataset) -> bool:
    """Return whether a checkpoint was trained on the classes of the data, so keeps its classifier."""
    from nas.checkpoints.retrain import for_classes  # imports torch

    if not checkpoint.usage.named:
        return False
    try:
        for_classes(checkpoint, data)
    except InputError:
        return False
    return True


def with_classes_of(data: Dataset, checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint with the data's classes: its own, or a new classifier to be trained."""
    return checkpoint if fits_classes(checkpoint, data) else checkpoint.with_classes(data.classes)
