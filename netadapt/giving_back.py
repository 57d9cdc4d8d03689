"""What the last step saved beyond the target, given back: one group wider again.

A step narrows a group by so much that the target is met, and a group's widths are coarse: one notch may be
several percent of the latency. MobileNetV3 and NetAdapt leave it at that; but a network below its target
has not had all the accuracy that the target allows.
"""

from __future__ import annotations

from collections.abc import Sequence

from netadapt.groups import width_groups
from netadapt.proposals import Discard, LatencyMs, Proposal, Widths, refuse, widest_within
from search_spaces.spec import ArchSpec


def give_back(
    spec: ArchSpec,
    *,
    seed: ArchSpec,
    latency: LatencyMs,
    target_ms: float,
    limits_ms: Sequence[float],
    tolerance: float,
    widths: Widths,
    ends: bool,
    discard: Discard = refuse,
) -> list[Proposal]:
    """A proposal of every narrowed group that can bring the network close to the target from below.

    Each group gets its widest width, up to the seed's, within the first limit; where that brings none
    within the tolerance, within the next one. If none is within it then either, the one that comes
    closest is the only proposal; if none is slower than the network is now, there is none.

    Args:
        spec: The current network, below the target.
        seed: The network that NetAdapt began with.
        latency: Tells a network's latency.
        target_ms: Where to end.
        limits_ms: Of the proposals' latencies, ascending, none above the target.
        tolerance: Part of the target that a network may stay below it.
        widths: Which widths there are.
        ends: Whether stem and head were narrowed too.
        discard: See `netadapt.proposals.propose`.
    """
    now_ms = latency(spec)
    wider: list[Proposal] = []
    for limit_ms in limits_ms:
        groups = zip(width_groups(spec, ends=ends), width_groups(seed, ends=ends), strict=True)
        found = [
            widest_within(
                spec,
                group,
                widths.between(group.width, before.width),
                latency=latency,
                limit_ms=limit_ms,
                seed=seed,
                discard=discard,
            )
            for group, before in groups
        ]
        wider = [proposal for proposal in found if proposal and proposal.latency_ms > now_ms]
        if close := [p for p in wider if p.latency_ms >= (1 - tolerance) * target_ms]:
            return close
    return sorted(wider, key=lambda p: -p.latency_ms)[:1]
