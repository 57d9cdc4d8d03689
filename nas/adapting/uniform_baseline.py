"""The baseline for every NetAdapt run: the seed at a uniform width multiplier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.adapting.baselines import BaselineRequest, Found
from nas.adapting.ranking import Rank
from netadapt import Widths, widest_uniform

if TYPE_CHECKING:
    from netadapt.channel_selection import ChannelSelection

NAME = "uniform"


@dataclass(frozen=True)
class UniformBaseline:
    """Finds the seed at the largest width multiplier within the limit.

    It inherits channels as NetAdapt's proposals do.

    Attributes:
        widths: Allowed widths.
        keep: Which channels to inherit: see `netadapt.weights.inherit`.
        ends: Whether to scale the last layer too, as NetAdapt may narrow it.
        rank: Orders the seed's channels by importance; None keeps them by `keep`.
    """

    widths: Widths | None = None
    keep: ChannelSelection = "first"
    ends: bool = False
    rank: Rank | None = None

    def __call__(self, request: BaselineRequest) -> Found | None:
        """See `nas.adapting.baselines.FindBaseline`."""
        from nas.checkpoints.torch_files import state_bytes
        from netadapt.weights import inherit

        seed = request.seed
        found = widest_uniform(
            seed.spec,
            latency=request.latency,
            limit_ms=request.limit_ms,
            widths=self.widths,
            include_stem_and_head=self.ends,
        )
        if found is None:
            return None
        ranked = self.rank and self.rank(seed.spec, state_bytes(seed.weights))
        weights = inherit(seed.spec, seed.weights, found.spec, selection=ranked or self.keep)
        return Found(found.spec, f"width multiplier {found.multiplier:g}", weights)
