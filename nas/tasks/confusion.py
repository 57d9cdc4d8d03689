"""Accuracy by class, and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from nas.tasks.display import Matrix

if TYPE_CHECKING:
    from nas.tasks.classification import Answers

MOST_DRAWN = 200
"""Classes of a drawn matrix."""


@dataclass(frozen=True)
class ClassScore:
    """Accuracy of one class.

    Attributes:
        name: Name of the class.
        images: Number of its images.
        right: Number of these that were classified correctly.
    """

    name: str
    images: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """Fraction of the class's images classified correctly, 0..1; None without images."""
        return self.right / self.images if self.images else None


@dataclass(frozen=True)
class Confusion:
    """A sparse confusion matrix.

    Attributes:
        classes: The network's classes in order.
        counts: Number of images by (label, prediction); zeros are left out.
    """

    classes: tuple[str, ...]
    counts: dict[tuple[int, int], int]

    @classmethod
    def of(cls, answers: Answers, classes: tuple[str, ...]) -> Confusion:
        """Count answers.

        >>> from nas.tasks.classification import Answers
        >>> import numpy as np
        >>> sureness = np.array([0.9, 0.2, 0.6], np.float32)
        >>> answers = Answers(np.array([0, 1, 1]), np.array([0, 0, 1]), sureness)
        >>> Confusion.of(answers, ("cat", "dog")).counts
        {(0, 0): 1, (0, 1): 1, (1, 1): 1}
        """
        pairs = zip(answers.right.tolist(), answers.given.tolist(), strict=True)
        return cls(classes, dict(sorted(Counter(pairs).items())))

    def by_class(self) -> list[ClassScore]:
        """Return the accuracy of each class, in the network's order."""
        images = Counter[int]()
        for (right, _), count in self.counts.items():
            images[right] += count
        return [
            ClassScore(name, images[index], self.counts.get((index, index), 0))
            for index, name in enumerate(self.classes)
        ]

    def mistakes(self) -> list[tuple[int, int, int]]:
        """Label, prediction and number of images of each confusion, the most frequent first."""
        wrong = [(*pair, count) for pair, count in self.counts.items() if pair[0] != pair[1]]
        return sorted(wrong, key=lambda found: (-found[2], found))

    def seen(self) -> list[int]:
        """Classes that are the label or the prediction of some image."""
        return sorted({index for pair in self.counts for index in pair})

    def chart(self) -> Matrix:
        """Return the matrix of the classes that occur; of very many, those that are confused most."""
        seen, note = self.seen(), "Rows: the label; columns: the class that the network predicts."
        if len(seen) > MOST_DRAWN:
            confused = (index for pair in self.mistakes() for index in pair[:2])
            seen = sorted(islice(dict.fromkeys(chain(confused, seen)), MOST_DRAWN))
            note += (
                f" Of the {len(self.seen()):,} classes, the {MOST_DRAWN} that are confused most."
            )
        names = tuple(self.classes[index] for index in seen)
        return Matrix(
            title="Confusion",
            note=note,
            unit="images",
            rows=names,
            columns=names,
            counts=tuple(tuple(self.counts.get((one, other), 0) for other in seen) for one in seen),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; zeros of the matrix are left out."""
        names = self.classes
        return {
            "classes": [
                {
                    "class": found.name,
                    "images": found.images,
                    "right": found.right,
                    "accuracy": found.accuracy,
                }
                for found in self.by_class()
            ],
            "confusion": [
                {
                    "true": names[right],
                    "predicted": names[given],
                    "true_index": right,
                    "predicted_index": given,
                    "images": count,
                }
                for (right, given), count in self.counts.items()
            ],
        }
