"""The baseline: every width of a network narrowed by one multiplier, as the MobileNet papers scale theirs.

A study of NetAdapt on another kind of network found it no better than this. So whoever adapts a network
wants to see it beside the same network scaled to the same latency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from latency.measuring.source import DeviceLostError, MeasurementError
from netadapt.channels import excited
from netadapt.narrowing import SqueezeRule, squeeze_rules
from netadapt.proposals import LatencyMs, Widths
from netadapt.widest import widest_satisfying
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec
from search_spaces.widths import make_divisible

THOUSANDTHS = 1000
"""Multipliers are tried in steps of a thousandth: finer ones round to the same widths, nearly always."""


@dataclass(frozen=True)
class Uniform:
    """A network at a width multiplier, and what the latency source says of it."""

    multiplier: float
    spec: ArchSpec
    latency_ms: float


def scaled(
    spec: ArchSpec, multiplier: float, *, widths: Widths | None = None, ends: bool = False
) -> ArchSpec:
    """The network with every width multiplied, rounded as the papers round; none becomes wider.

    Equal widths stay equal, so residuals stay valid. Squeeze-and-excite follows the network's own rule. The
    last layer before the classifier stays as it is, as in the papers below a multiplier of 1.

    >>> from search_spaces.references import mobilenet_v2
    >>> [block.out for block in scaled(mobilenet_v2(), 0.75).blocks[:4]]
    [16, 24, 24, 24]

    Args:
        spec: The network.
        multiplier: Above 0, at most 1.
        widths: Multiples of what, and the narrowest; of 8 and from 8 on by default.
        ends: Scale the last layer too: for a comparison with what narrows it.

    Raises:
        InputError: The multiplier is out of range.
    """
    if not 0 < multiplier <= 1:
        raise InputError(
            f"multiplier must be above 0 and at most 1, got {multiplier:g}: only narrower networks inherit"
        )

    allowed = widths or Widths()

    def narrower(width: int) -> int:
        rounded = make_divisible(width * multiplier, allowed.divisor)
        return min(width, max(allowed.narrowest, rounded))

    stem = replace(spec.stem, out=narrower(spec.stem.out))
    blocks, cin = [], stem.out
    for block, rule in zip(spec.blocks, squeeze_rules(spec), strict=True):
        blocks.append(_scaled_block(block, narrower, cin=cin, rule=rule))
        cin = blocks[-1].out
    head = _scaled_head(spec.head, narrower, ends=ends)
    return replace(spec, stem=stem, blocks=tuple(blocks), head=head)


def _scaled_block(
    block: BlockSpec, narrower: Callable[[int], int], *, cin: int, rule: SqueezeRule | None
) -> BlockSpec:
    expand = narrower(block.expand) if block.expand else 0
    out = narrower(block.out)
    se = rule(cin, excited(block, cin=cin, expand=expand, out=out)) if rule else 0
    return replace(block, expand=expand, out=out, se=se)


def _scaled_head(head: HeadSpec, narrower: Callable[[int], int], *, ends: bool) -> HeadSpec:
    conv, hidden = head.conv, head.hidden
    if conv and (hidden or ends):
        conv = narrower(conv)
    if hidden and ends:
        hidden = narrower(hidden)
    return replace(head, conv=conv, hidden=hidden)


def distinct_networks(
    spec: ArchSpec, *, widths: Widths | None = None, ends: bool = False
) -> list[tuple[float, ArchSpec]]:
    """The networks that multipliers give, narrowest first, each with the largest one that gives it."""
    networks: dict[ArchSpec, float] = {}
    for thousandth in range(1, THOUSANDTHS + 1):
        multiplier = thousandth / THOUSANDTHS
        networks[scaled(spec, multiplier, widths=widths, ends=ends)] = multiplier
    return [(multiplier, network) for network, multiplier in networks.items()]


def widest_uniform(
    spec: ArchSpec,
    *,
    latency: LatencyMs,
    limit_ms: float,
    widths: Widths | None = None,
    ends: bool = False,
) -> Uniform | None:
    """The network at the largest multiplier whose latency is a limit at most, or None where none's is.

    Latency over the multiplier is a step function with bumps: see `widest_satisfying`, which asks about few
    of the networks, and about each once. One that cannot be measured counts as too slow.

    >>> from latency.estimates.madds import MaddsEstimate
    >>> from netadapt.proposals import remembered
    >>> from search_spaces.references import mobilenet_v3_small
    >>> latency = remembered(MaddsEstimate(1.0))
    >>> found = widest_uniform(mobilenet_v3_small(), latency=latency, limit_ms=30.0)
    >>> found.multiplier, round(found.latency_ms, 1)
    (0.624, 29.3)

    Args:
        spec: The network.
        latency: Tells a network's latency.
        limit_ms: What it may be at most.
        widths: See `scaled`.
        ends: See `scaled`.

    Raises:
        DeviceLostError: The device is.
    """
    networks = distinct_networks(spec, widths=widths, ends=ends)
    asked: dict[int, float] = {}

    def satisfies(place: int) -> bool:
        try:
            asked[place] = latency(networks[place][1])
        except DeviceLostError:
            raise
        except MeasurementError:
            return False
        return asked[place] <= limit_ms

    found = widest_satisfying(range(len(networks)), satisfies)
    return None if found is None else Uniform(*networks[found], asked[found])
