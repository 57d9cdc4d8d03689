"""Measure networks next to their parent, all in one session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from latency import Cached, LatencySource, Measured, Paced, Timing
from search_spaces import ArchSpec

LONGER = Timing(max_s=4.0, half_width=0.005, retries=3)
"""Several times as long as a search measures: the result is reported, not only compared with a target."""


@dataclass(frozen=True)
class Read:
    """A network's latency on a device.

    Attributes:
        ms: Median.
        ci95_ms: Its 95% interval over blocks.
        of_parent: Median ratio to the parent in the same rounds.
        of_parent_ci95: Its 95% interval over rounds.
        problems: Disturbances while it was measured.
    """

    ms: float
    ci95_ms: tuple[float, float]
    of_parent: float
    of_parent_ci95: tuple[float, float]
    problems: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the reading that `to_dict` gave."""
        tuples = ("ci95_ms", "of_parent_ci95", "problems")
        return cls(**{**data, **{name: tuple(data[name]) for name in tuples}})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def read_beside(source: LatencySource, parent: ArchSpec, specs: Sequence[ArchSpec]) -> list[Read]:
    """Return the latencies of the parent and the networks on a device, interleaved.

    Estimates have no spread, so they are computed one by one; a pool of devices measures one by one too.

    Raises:
        MeasurementError: The device cannot measure one.
    """
    plain = source.source if isinstance(source, Cached) else source
    plain = plain.source if isinstance(plain, Paced) else plain
    if not isinstance(plain, Measured):
        return _one_by_one(source, parent, specs)
    session = plain.with_timing(LONGER)
    readings = session.compare([parent, *specs])
    base, reads = readings[0], []
    for reading in readings:
        latency, ratio = reading.latency, reading.over(base)
        reads.append(
            Read(latency.median_ms, latency.ci95_ms, ratio.value, ratio.ci95, latency.problems)
        )
    return reads


def _one_by_one(source: LatencySource, parent: ArchSpec, specs: Sequence[ArchSpec]) -> list[Read]:
    base_ms = source.latency(parent).median_ms
    reads = []
    for spec in (parent, *specs):
        latency = source.latency(spec)
        ratio = latency.median_ms / base_ms
        reads.append(
            Read(latency.median_ms, latency.ci95_ms, ratio, (ratio, ratio), latency.problems)
        )
    return reads
