"""Chance level: the accuracy of always answering the most frequent class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nas.data.images import Split


def chance_of(held_out: Split, *, classes: int) -> float:
    """Return the accuracy of always answering the most frequent class, at least 1/classes.

    A split that does not hold its labels is assumed to be balanced.
    """
    from nas.data.images import labels_of  # torch

    labels = labels_of(held_out)
    if labels is None or not len(labels):
        return 1 / classes
    return max(1 / classes, float(np.bincount(labels).max() / len(labels)))
