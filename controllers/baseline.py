"""What a reward is compared with: a moving average of past rewards, and their usual spread.

NASNet (Zoph et al. 2018) subtracts an exponential moving average of past rewards to lower the
variance of the policy gradient. Dividing by a moving standard deviation as well makes the learning
rate and the entropy weight mean the same whether rewards are fractions or percentages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median, pstdev

from controllers.checks import checked_flag, checked_real, checked_whole

MAD_TO_STD = 1.4826  # standard deviation of a normal distribution / its median absolute deviation
ROUNDING = 1e-12  # of the mean: values that differ by less are equal
LEAST_SPREAD = 1e-4  # of the mean: once a policy has settled, smaller differences are rounding


@dataclass(frozen=True)
class Baseline:
    """Moving mean and spread of the rewards told so far; every update makes a new one.

    Attributes:
        decay: weight of the past at each reward. NASNet: 0.95, i.e. about the last 20 rewards.
        clip: rewards further than this many spreads from the mean count as that far.
        warmup: rewards that are only listened to, for a first mean and spread.
        normalize: divide advantages by the spread; without it they keep the rewards' own unit.
        mean: of past rewards; meaningless while ``spread`` is 0.
        spread: standard deviation of past rewards; 0 until the warm-up has seen two that differ.
        heard: the last rewards of the warm-up, ``warmup`` of them and at least two; empty after it.
    """

    decay: float = 0.95
    clip: float = 2.0
    warmup: int = 10
    normalize: bool = True
    mean: float = 0.0
    spread: float = 0.0
    heard: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        checked_real("baseline_decay", self.decay, high=1.0)
        checked_real("advantage_clip", self.clip)
        checked_whole("warmup", self.warmup)
        checked_flag("normalize", self.normalize)

    @property
    def is_set(self) -> bool:
        """Whether the warm-up is over, so that there is something to compare with."""
        return self.spread > 0.0

    def advantages(self, rewards: Sequence[float]) -> list[float]:
        """How much better than usual each reward is, at most ``clip`` spreads either way.

        A failed trial scores 0.0 where its neighbours score 0.70 +- 0.02: 35 spreads away. One such
        term would outweigh the rest of its batch and, through Adam's memory, of the next several.
        Clipped, it is merely a bad trial.

        >>> Baseline(mean=0.75, spread=0.125).advantages([0.75, 0.875, 0.0])
        [0.0, 1.0, -2.0]
        """
        if not self.is_set:
            return [0.0 for _ in rewards]
        unit = self.spread if self.normalize else 1.0
        return [self._deviation(reward) / unit for reward in rewards]

    def after(self, rewards: Sequence[float]) -> "Baseline":
        """The baseline once ``rewards`` belong to the past.

        >>> Baseline(warmup=3).after([0.25, 0.5, 0.75]).mean
        0.5
        """
        baseline = self
        for reward in rewards:
            baseline = baseline._moved(reward) if baseline.is_set else baseline._listened(reward)
        return baseline

    def _deviation(self, reward: float) -> float:
        limit = self.clip * self.spread
        return min(max(reward - self.mean, -limit), limit)

    def _listened(self, reward: float) -> "Baseline":
        heard = (*self.heard, reward)[-max(2, self.warmup) :]
        # Median and median deviation, so that a failure among the first few trials does not set the
        # scale. If most of them agree the median deviation is 0 and the plain one has to do.
        centre = median(heard)
        spread = MAD_TO_STD * median(abs(r - centre) for r in heard) or pstdev(heard)
        if len(heard) < self.warmup or spread <= ROUNDING * abs(centre):
            return replace(self, heard=heard)
        return replace(self, mean=centre, spread=spread, heard=())

    def _moved(self, reward: float) -> "Baseline":
        # Clipped here too: unclipped, one failure would widen the spread for some 100 rewards, and
        # real differences would count for nothing meanwhile.
        deviation = self._deviation(reward)
        variance = self.decay * self.spread**2 + (1 - self.decay) * deviation**2
        spread = max(math.sqrt(variance), LEAST_SPREAD * abs(self.mean))
        return replace(self, mean=self.mean + (1 - self.decay) * deviation, spread=spread)
