"""The rival that every NetAdapt run should be seen beside: the seed at a uniform width multiplier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.adapting.baselines import Challenge, Found
from netadapt import Widths, widest_uniform

if TYPE_CHECKING:
    from netadapt.channel_selection import ChannelSelection

NAME = "uniform"


@dataclass(frozen=True)
class UniformRival:
    """Finds the seed at the largest width multiplier that is fast enough.

    It has the seed's first channels, or those of the largest norm, as NetAdapt's proposals have.

    Attributes:
        widths: The run's.
        keep: The run's: see `netadapt.weights.inherit`.
        ends: Whether NetAdapt may narrow stem and head; then the last layer is scaled too.
    """

    widths: Widths | None = None
    keep: ChannelSelection = "first"
    ends: bool = False

    def __call__(self, challenge: Challenge) -> Found | None:
        """See `nas.adapting.baselines.FindRival`."""
        from netadapt.weights import inherit

        seed = challenge.seed
        found = widest_uniform(
            seed.spec,
            latency=challenge.latency,
            limit_ms=challenge.limit_ms,
            widths=self.widths,
            include_stem_and_head=self.ends,
        )
        if found is None:
            return None
        weights = inherit(seed.spec, seed.weights, found.spec, selection=self.keep)
        return Found(found.spec, f"width multiplier {found.multiplier:g}", weights)
