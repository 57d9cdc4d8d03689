"""Find labels that look wrong, from a network's class probabilities (confident learning)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Doubt:
    """An image whose label looks wrong.

    Attributes:
        index: Of the image.
        label: Its class.
        guess: The class that it looks like.
        label_probability: Probability of `label`.
        guess_probability: Probability of `guess`.
    """

    index: int
    label: int
    guess: int
    label_probability: float
    guess_probability: float

    @property
    def margin(self) -> float:
        """How much more likely the guess is than the label, 0..1."""
        return self.guess_probability - self.label_probability


def thresholds(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each class's mean self-confidence: the mean probability of the class over images labelled so.

    Args:
        probabilities: (N, classes).
        labels: Class indices (N,).

    Returns:
        (classes,); infinite for a class without images, which no image is then taken for.
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)  # (N,)
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=own, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def label_errors(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Doubt]:
    """Find images that look more like another class than like their own (Northcutt et al. 2021).

    The probability of the other class must reach that class's threshold, its mean self-confidence (eq. 2),
    so that a class of which the network is never sure is not held to the same figure as an easy one. It
    must also exceed that of the label. Of several such classes the most likely one is the guess.

    >>> shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.05, 0.95]], np.float32)
    >>> [(doubt.index, doubt.guess) for doubt in label_errors(shares, np.array([0, 0, 1, 1, 0]))]
    [(4, 1)]

    Args:
        probabilities: (N, classes), from a network that was not trained on these images if possible: it
            fits wrong labels that it is trained on.
        labels: Class indices (N,).

    Returns:
        The largest margin first.
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]  # (N,)
    passed = (probabilities >= thresholds(probabilities, labels)) & (probabilities > own[:, None])
    likely = np.where(passed, probabilities, -1.0)  # (N, classes)
    guesses = likely.argmax(axis=1)
    found = [
        Doubt(
            index,
            int(labels[index]),
            int(guesses[index]),
            float(own[index]),
            float(probabilities[index, guesses[index]]),
        )
        for index in np.flatnonzero(passed.any(axis=1)).tolist()
    ]
    return sorted(found, key=lambda doubt: -doubt.margin)
