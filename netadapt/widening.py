"""Widen one group again where the last step saved more latency than the target asks for.

Widths are coarse: one notch of a group may be several percent of the latency. MobileNetV3 and NetAdapt
accept a network below the target, and with it less accuracy than the target allows.
"""

from __future__ import annotations

from netadapt.memoized import LatencyMs
from netadapt.narrowing.depth import as_deep_as
from netadapt.narrowing.groups import width_groups
from netadapt.proposals import OnDiscard, Proposal, propose, raise_discarded
from netadapt.settings import Settings
from search_spaces.spec import ArchSpec


def widen(
    spec: ArchSpec,
    settings: Settings,
    *,
    seed: ArchSpec,
    latency: LatencyMs,
    up_to_target: bool = True,
    on_discard: OnDiscard = raise_discarded,
) -> list[Proposal]:
    """Widen each narrowed group; return the proposals within the tolerance below the target.

    A chosen proposal is measured again and may turn out slower, so half of the tolerance is left as a
    margin. If no group comes close enough, and `up_to_target` is set, the margin is dropped. If still none
    does, only the proposal closest to the target is returned, or none if all are faster than `spec`.
    Dropped blocks stay dropped.

    Args:
        spec: The current network, below the target.
        settings: Settings of the run.
        seed: The network that NetAdapt began with; no group becomes wider than its own.
        latency: Latency function; see `memoized`.
        up_to_target: Also try without the margin.
        on_discard: See `netadapt.proposals.propose`.
    """
    target_ms, tolerance = settings.target_ms, settings.tolerance
    widest = as_deep_as(seed, spec)
    margins = (tolerance / 2, 0.0) if up_to_target else (tolerance / 2,)
    current_ms = latency(spec)
    slower: list[Proposal] = []
    for margin in margins:
        proposals = [
            propose(
                spec,
                group,
                settings.widths.between(group.width, original.width),
                latency=latency,
                limit_ms=(1 - margin) * target_ms,
                seed=seed,
                on_discard=on_discard,
            )
            for group, original in zip(
                width_groups(spec, include_stem_and_head=settings.include_stem_and_head),
                width_groups(widest, include_stem_and_head=settings.include_stem_and_head),
                strict=True,
            )
        ]
        slower = [p for p in proposals if p and p.latency_ms > current_ms]
        if close := [p for p in slower if p.latency_ms >= (1 - tolerance) * target_ms]:
            return close
    return sorted(slower, key=lambda p: -p.latency_ms)[:1]
