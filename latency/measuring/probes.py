"""Two anchors of unlike kinds, which tell whether a busy device slows networks unevenly.

Other programs slow a network in two ways: a sibling hyperthread competes for execution units, and each
context switch leaves the caches cold. A network that computes much on few weights suffers more from the
first, one that reads many weights from the second. So on a busy machine the ratio of two networks shifts,
by up to a quarter, however precisely it is measured. The slowdowns of the anchor and of these two bracket
those of most other networks (`benchmarks.latency.busy_states`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec

EVEN = 1.05
"""Slowdowns within this ratio count as equal: short measurements are that noisy."""


def _block(channels: int, *, stride: Literal[1, 2]) -> BlockSpec:
    return BlockSpec(
        op="mbconv", kernel=3, stride=stride, expand=channels, out=channels, se=0, gate="none", act="relu",
        linear=False, skip="none",
    )  # fmt: skip


COMPUTING = ArchSpec(
    resolution=32,
    bn_eps=1e-3,
    stem=StemSpec(out=64, kernel=3, stride=2, act="relu"),
    blocks=(_block(64, stride=1),) * 6,
    head=HeadSpec(conv=64, hidden=0, act="relu", dropout=0.0, classes=10),
)
"""Multiplies each of its weights, which fit into the core's own cache, 240 times."""

READING = ArchSpec(
    resolution=16,
    bn_eps=1e-3,
    stem=StemSpec(out=16, kernel=3, stride=2, act="relu"),
    blocks=(_block(16, stride=2),) * 2,
    head=HeadSpec(conv=2048, hidden=2048, act="relu", dropout=0.0, classes=2000),
)
"""Multiplies each of its weights, 33 MB, once."""

PROBES = (COMPUTING, READING)


@dataclass(frozen=True)
class Slowdown:
    """How much slower anchors of different kinds are than in the device's quietest state.

    Attributes:
        factors: One for each anchor; none if the quietest state is unknown.
    """

    factors: tuple[float, ...] = ()

    @classmethod
    def between(cls, quiet_ms: Sequence[float], now_ms: Sequence[float]) -> Slowdown:
        """Return that of anchors whose medians were measured in both states."""
        pairs = zip(quiet_ms, now_ms, strict=True)
        return cls(tuple(max(1.0, now / quiet) for quiet, now in pairs))

    @property
    def unevenness(self) -> float:
        """How far apart the slowdowns of two networks may be, as a ratio; 1 if they seem alike.

        >>> Slowdown((1.0, 1.2, 1.25)).unevenness
        1.25
        >>> Slowdown((1.4, 1.42, 1.4)).unevenness
        1.0
        """
        apart = max(self.factors, default=1.0) / min(self.factors, default=1.0)
        return apart if apart > EVEN else 1.0

    def widened(self, interval: tuple[float, float]) -> tuple[float, float]:
        """Widen the interval of a ratio of two networks to cover the quiet machine.

        >>> Slowdown((1.0, 1.25)).widened((2.0, 3.0))
        (1.6, 3.75)
        """
        low, high = interval
        return low / self.unevenness, high * self.unevenness

    def __str__(self) -> str:
        """Return it in words."""
        low, high = min(self.factors), max(self.factors)
        return f"other programs slow networks unevenly, by factors of {low:.2f} to {high:.2f}"


UNKNOWN = Slowdown()
"""Of a device without a record, or without probes."""
