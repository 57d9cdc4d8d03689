"""What long training adds to the accuracy of a short one, at each resolution.

After a short training a narrow network has not recovered yet from what it lost, while a wide one on small
images has lost little: read as they are, trials favor small images by ten points and more. The rivals train
both ways before the search, one at each resolution, and show what is still to come there:

    expected accuracy = accuracy of the trial + (long - short training of the rival at its resolution)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nas.engine.trial import Trial
from nas.searching.from_parent.rivals import Rival

LONG, SHORT = "rival", "rival-trial"
"""Kinds of job that train a rival as a finalist, and as a trial."""


@dataclass(frozen=True)
class Recovery:
    """What is still to come after a trial, at each resolution.

    Attributes:
        gains: Difference of accuracies (0..1) by resolution in pixels; without any nothing is expected.
    """

    gains: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, rivals: Sequence[Rival], trained: Iterable[Trial]) -> Recovery:
        """Compare the long and the short training of each rival that is made from the parent."""
        accuracies = {trial.key: trial.accuracy for trial in trained if trial.accuracy is not None}
        gains = {
            rival.spec.resolution: accuracies[LONG, index] - accuracies[SHORT, index]
            for index, rival in enumerate(rivals)
            if {(LONG, index), (SHORT, index)} <= accuracies.keys()
        }
        return cls(gains)

    def expected(self, accuracy: float, px: int) -> float:
        """Return the accuracy (0..1) that long training is expected to reach.

        >>> Recovery({96: 0.05, 64: -0.1}).expected(0.7, 96)
        0.75

        Args:
            accuracy: After a trial.
            px: The network's resolution; without a rival there the nearest counts.
        """
        if not self.gains:
            return accuracy
        nearest = min(self.gains, key=lambda known: abs(known - px))
        return min(1.0, max(0.0, accuracy + self.gains[nearest]))
