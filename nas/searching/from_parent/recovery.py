"""What long training adds to the accuracy of a short one, at each resolution.

After a short training a narrow network has not recovered yet from what it lost, while a wide one on small
images has lost little: read as they are, trials favor small images by ten points and more. The rivals train
both ways before the search, one at each resolution, and show what is still to come there:

    logit(expected accuracy) = logit(accuracy of the trial) + logit(L) - logit(S)

where L and S are the accuracies of the rival at its resolution after a long and after a short training. On
the scale of log-odds, logit(a) = log(a / (1 - a)), the nearly perfect gain less than the mediocre.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nas.engine.trial import Trial
from nas.searching.from_parent.rivals import Rival

RIVAL, RIVAL_TRIAL = "rival", "rival-trial"
"""Kinds of job that train a rival as a finalist, and as a trial."""

LEAST = 0.001
"""Accuracies and error rates below it count as it."""


@dataclass(frozen=True)
class Recovery:
    """What is still to come after a trial, at each resolution.

    Attributes:
        gains: What long training adds, in log-odds, by resolution in pixels; without any, nothing is.
    """

    gains: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, rivals: Sequence[Rival], trained: Iterable[Trial]) -> Recovery:
        """Compare the long and the short training of each rival that is made from the parent."""
        accuracies = {trial.key: trial.accuracy for trial in trained if trial.accuracy is not None}
        gains = {
            rival.spec.resolution: logit(accuracies[RIVAL, index])
            - logit(accuracies[RIVAL_TRIAL, index])
            for index, rival in enumerate(rivals)
            if {(RIVAL, index), (RIVAL_TRIAL, index)} <= accuracies.keys()
        }
        return cls(gains)

    def expected(self, accuracy: float, px: int) -> float:
        """Return the accuracy (0..1) that long training is expected to reach.

        >>> halved = Recovery({96: math.log(2), 64: 0.0})  # the odds of an error at 96 px
        >>> round(halved.expected(0.5, 96), 3), halved.expected(0.5, 64)
        (0.667, 0.5)

        Args:
            accuracy: After a trial.
            px: The network's resolution; without a rival there the nearest counts.
        """
        if not self.gains:
            return accuracy
        nearest = min(self.gains, key=lambda known: abs(known - px))
        return 1 / (1 + math.exp(-(logit(accuracy) + self.gains[nearest])))


def logit(accuracy: float) -> float:
    """Return the log-odds of an accuracy; of 0 and 1 as if nearly so.

    >>> round(logit(0.75), 3), round(logit(1.0), 1)
    (1.099, 6.9)
    """
    clipped = min(1 - LEAST, max(LEAST, accuracy))
    return math.log(clipped / (1 - clipped))
