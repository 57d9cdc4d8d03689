"""Trials of different resolutions, made comparable by what long training adds at each.

After a short training a narrow network has not recovered yet from what it lost, while a wide one on small
images has lost little: read as they are, trials favor small images by ten points and more. The rivals train
both ways before the search, one at each resolution, and show what is still to come there:

    gain(px) = logit(L) - logit(S)
    logit(accuracy of the trial) = logit(accuracy as read) + gain(px) - gain(largest px)

where L and S are the accuracies of the rival at a resolution after a long and after a short training. On
the scale of log-odds, logit(a) = log(a / (1 - a)), an accurate network gains fewer points than a mediocre
one. At the largest resolution accuracies stay as they were read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nas.engine.job import RIVAL, RIVAL_TRIAL, Kind
from nas.engine.trial import Trial
from nas.searching.from_parent.rivals import Rival

LEAST = 0.001
"""Accuracies and error rates below it count as it."""


@dataclass(frozen=True)
class Recovery:
    """What is still to come after a trial, at each resolution.

    Attributes:
        gains: What long training adds to the rival's accuracy, in log-odds, by resolution in pixels.
    """

    gains: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rivals: Sequence[Rival], trained: Iterable[Trial], *, short: Kind = RIVAL_TRIAL
    ) -> Recovery:
        """Compare the long and the short training of each rival that is made from the parent.

        Args:
            rivals: The rivals.
            trained: Their trainings.
            short: Kind of the short one.
        """
        accuracies = {trial.key: trial.accuracy for trial in trained if trial.accuracy is not None}
        gains = {
            rival.spec.resolution: logit(accuracies[RIVAL, index]) - logit(accuracies[short, index])
            for index, rival in enumerate(rivals)
            if {(RIVAL, index), (short, index)} <= accuracies.keys()
        }
        return cls(gains)

    def comparable(self, accuracy: float, px: int) -> float:
        """Return a trial's accuracy (0..1) as it compares with trials of the largest resolution.

        >>> behind = Recovery({96: math.log(2), 64: 0.0})  # at 96 px the odds of an error still halve
        >>> round(behind.comparable(0.5, 64), 3), round(behind.comparable(0.5, 96), 3)
        (0.333, 0.5)

        Args:
            accuracy: As it was read after the trial.
            px: The network's resolution; without a rival there the nearest counts.
        """
        if not self.gains:
            return accuracy
        nearest = min(self.gains, key=lambda known: abs(known - px))
        shift = self.gains[nearest] - self.gains[max(self.gains)]
        return accuracy if shift == 0 else 1 / (1 + math.exp(-(logit(accuracy) + shift)))


def logit(accuracy: float) -> float:
    """Return the log-odds of an accuracy; of 0 and 1 as if nearly so.

    >>> round(logit(0.75), 3), round(logit(1.0), 1)
    (1.099, 6.9)
    """
    clipped = min(1 - LEAST, max(LEAST, accuracy))
    return math.log(clipped / (1 - clipped))
