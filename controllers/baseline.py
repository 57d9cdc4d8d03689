"""The baseline of the policy gradient: moving average and spread of past rewards.

NASNet (Zoph et al. 2018) subtracts an exponential moving average of past rewards to lower the
variance of the policy gradient. Dividing by a moving standard deviation as well makes the learning
rate and the entropy weight independent of the rewards' unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median, pstdev

from controllers.checks import checked_flag, checked_real, checked_whole

MAD_TO_STD = 1.4826  # standard deviation of a normal distribution / its median absolute deviation
ROUNDING = 1e-12  # relative to the mean: smaller differences are rounding
LEAST_SPREAD = 1e-4  # relative to the mean: smaller spreads of a converged policy are rounding


@dataclass(frozen=True)
class Baseline:
    """Moving mean and spread of past rewards; immutable.

    Attributes:
        decay: weight of the past at each reward. NASNet: 0.95, i.e. about the last 20 rewards.
        clip: limit of an advantage in spreads.
        warmup: rewards that only initialize mean and spread.
        normalize: divide advantages by the spread; otherwise they keep the rewards' unit.
        mean: of past rewards; meaningless while ``spread`` is 0.
        spread: standard deviation of past rewards; 0 until the warm-up has seen two that differ.
        heard: latest rewards of the warm-up, ``warmup`` of them and at least two; empty after it.
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
        """Whether the warm-up is over."""
        return self.spread > 0.0

    def advantages(self, rewards: Sequence[float]) -> list[float]:
        """Return how much better than the mean each reward is, clipped to ``clip`` spreads.

        A failed trial scores 0.0 where others score 0.70 +- 0.02: 35 spreads away. Unclipped, it would
        dominate its batch and, through Adam's momentum, the next several.

        >>> Baseline(mean=0.75, spread=0.125).advantages([0.75, 0.875, 0.0])
        [0.0, 1.0, -2.0]
        """
        if not self.is_set:
            return [0.0 for _ in rewards]
        unit = self.spread if self.normalize else 1.0
        return [self._deviation(reward) / unit for reward in rewards]

    def after(self, rewards: Sequence[float]) -> "Baseline":
        """Return the baseline updated with ``rewards``.

        >>> Baseline(warmup=3).after([0.25, 0.5, 0.75]).mean
        0.5
        """
        baseline = self
        for reward in rewards:
            baseline = baseline._moved(reward) if baseline.is_set else baseline._warmed_up(reward)
        return baseline

    def _deviation(self, reward: float) -> float:
        limit = self.clip * self.spread
        return min(max(reward - self.mean, -limit), limit)

    def _warmed_up(self, reward: float) -> "Baseline":
        heard = (*self.heard, reward)[-max(2, self.warmup) :]
        # Median and median absolute deviation are robust against an early failure. If most rewards are
        # equal the latter is 0; then use the standard deviation.
        centre = median(heard)
        spread = MAD_TO_STD * median(abs(r - centre) for r in heard) or pstdev(heard)
        if len(heard) < self.warmup or spread <= ROUNDING * abs(centre):
            return replace(self, heard=heard)
        return replace(self, mean=centre, spread=spread, heard=())

    def _moved(self, reward: float) -> "Baseline":
        # Clipped here too: otherwise one failure would inflate the spread for about 100 rewards and
        # suppress real differences meanwhile.
        deviation = self._deviation(reward)
        variance = self.decay * self.spread**2 + (1 - self.decay) * deviation**2
        spread = max(math.sqrt(variance), LEAST_SPREAD * abs(self.mean))
        return replace(self, mean=self.mean + (1 - self.decay) * deviation, spread=spread)
