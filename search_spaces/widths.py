"""Width multipliers of the published networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from search_spaces.errors import InputError

Convention = Literal["paper", "torchvision"]
"""Scaling rule, where MobileNetV3's code bases differ.

`paper` (TensorFlow's slim, the source of the published figures): expansions are a multiple of the block's
scaled input, and the last layer keeps its width below a multiplier of 1. `torchvision`: expansions and the
last layer are scaled like every other width.
"""


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to a multiple of `divisor`, by at most 10% down (MobileNetV2's rule).

    >>> [make_divisible(v) for v in (12, 18, 20, 3)]
    [16, 24, 24, 8]
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True)
class Scale:
    """A validated width multiplier.

    Raises:
        InputError: It is not a positive number, or the convention is unknown.
    """

    width: float
    convention: Convention = "paper"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and self.width > 0):
            raise InputError(
                f"width must be a number above 0, got {self.width}: give for instance 0.75"
            )
        if self.convention not in get_args(Convention):
            known = " or ".join(get_args(Convention))
            raise InputError(f"convention must be {known}, got {self.convention!r}")

    def __call__(self, channels: int) -> int:
        """Scale a number of channels.

        >>> Scale(0.75)(24)
        24
        """
        return make_divisible(channels * self.width)

    def last(self, channels: int) -> int:
        """Channels of the last layer before the classifier: never fewer than at a multiplier of 1.

        >>> Scale(0.5).last(1280), Scale(1.4).last(1280)
        (1280, 1792)
        """
        return make_divisible(channels * max(1.0, self.width))
