"""NetAdapt's baseline: one width multiplier for the whole network, as in the MobileNet papers.

A study of NetAdapt on another kind of network found it no better than this. An adapted network is therefore
compared with the same network scaled to the same latency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from latency.measuring.source import DeviceLostError, MeasurementError
from netadapt.memoized import LatencyMs
from netadapt.narrowing.widths import Widths
from netadapt.widest import widest_satisfying
from search_spaces.channels import excited_channels
from search_spaces.errors import InputError
from search_spaces.heads.specs import DenseHead, HeadSpec, conv_is_last
from search_spaces.heads.transforms import with_own_widths
from search_spaces.spec import ArchSpec, BlockSpec
from search_spaces.squeeze_rules import SqueezeRule, squeeze_rules
from search_spaces.widths import make_divisible

THOUSANDTHS = 1000
"""Resolution of the multiplier: finer steps nearly always round to the same widths."""

ANY_PX = 224


@dataclass(frozen=True)
class Uniform:
    """A network at a width multiplier, and its latency."""

    multiplier: float
    spec: ArchSpec
    latency_ms: float


def scaled(
    spec: ArchSpec,
    multiplier: float,
    *,
    widths: Widths | None = None,
    include_stem_and_head: bool = False,
) -> ArchSpec:
    """Multiply every width and round it as the papers do; no width becomes wider.

    Equal widths stay equal, so residuals stay valid. Squeeze-and-excite follows the network's own rule. The
    last layer before the classifier is not scaled, as in the papers below a multiplier of 1.

    >>> from search_spaces.references import mobilenet_v2
    >>> [block.out for block in scaled(mobilenet_v2(), 0.75).blocks[:4]]
    [16, 24, 24, 24]

    Args:
        spec: The network.
        multiplier: Above 0, at most 1.
        widths: The allowed widths; multiples of 8 by default.
        include_stem_and_head: Scale the last layer too, for a comparison with a run that narrows it.

    Raises:
        InputError: The multiplier is out of range.
    """
    if not 0 < multiplier <= 1:
        raise InputError(
            f"multiplier must be above 0 and at most 1, got {multiplier:g}: "
            "only narrower networks inherit weights"
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
    head = _scaled_head(spec.head, narrower, include_stem_and_head=include_stem_and_head)
    return replace(spec, stem=stem, blocks=tuple(blocks), head=head)


def _scaled_block(
    block: BlockSpec, narrower: Callable[[int], int], *, cin: int, rule: SqueezeRule | None
) -> BlockSpec:
    expand = narrower(block.expand) if block.expand else 0
    out = narrower(block.out)
    se = rule(cin, excited_channels(block, cin=cin, expand=expand, out=out)) if rule else 0
    return replace(block, expand=expand, out=out, se=se)


def _scaled_head(
    head: HeadSpec | DenseHead, narrower: Callable[[int], int], *, include_stem_and_head: bool
) -> HeadSpec | DenseHead:
    if head.conv and (include_stem_and_head or not conv_is_last(head)):
        head = replace(head, conv=narrower(head.conv))
    if not isinstance(head, HeadSpec):
        return with_own_widths(head, narrower)
    scales = head.hidden and include_stem_and_head
    return replace(head, hidden=narrower(head.hidden)) if scales else head


def distinct_networks(
    spec: ArchSpec, *, widths: Widths | None = None, include_stem_and_head: bool = False
) -> list[tuple[float, ArchSpec]]:
    """List the distinct scaled networks, narrowest first, each with its largest multiplier."""
    # Widths do not depend on the resolution, of which a search asks for several.
    found = _distinct(replace(spec, resolution=ANY_PX), widths, include_stem_and_head)
    return [(multiplier, replace(one, resolution=spec.resolution)) for multiplier, one in found]


@lru_cache(maxsize=16)
def _distinct(
    spec: ArchSpec, widths: Widths | None, include_stem_and_head: bool
) -> tuple[tuple[float, ArchSpec], ...]:
    networks: dict[ArchSpec, float] = {}
    for thousandth in range(1, THOUSANDTHS + 1):
        multiplier = thousandth / THOUSANDTHS
        network = scaled(
            spec, multiplier, widths=widths, include_stem_and_head=include_stem_and_head
        )
        networks[network] = multiplier
    return tuple((multiplier, network) for network, multiplier in networks.items())


def widest_uniform(
    spec: ArchSpec,
    *,
    latency: LatencyMs,
    limit_ms: float,
    widths: Widths | None = None,
    include_stem_and_head: bool = False,
) -> Uniform | None:
    """Return the network at the largest multiplier within a latency limit; None if there is none.

    Few of the networks are measured, each once: see `widest_satisfying`. One that cannot be measured counts
    as too slow.

    >>> from latency.estimates.madds import MaddsEstimate
    >>> from netadapt.memoized import memoized
    >>> from search_spaces.references import mobilenet_v3_small
    >>> latency = memoized(MaddsEstimate(1.0))
    >>> found = widest_uniform(mobilenet_v3_small(), latency=latency, limit_ms=30.0)
    >>> found.multiplier, round(found.latency_ms, 1)
    (0.624, 29.3)

    Args:
        spec: The network.
        latency: Latency function; see `memoized`.
        limit_ms: Highest latency.
        widths: See `scaled`.
        include_stem_and_head: See `scaled`.

    Raises:
        DeviceLostError: The device is lost.
    """
    networks = distinct_networks(spec, widths=widths, include_stem_and_head=include_stem_and_head)
    measured: dict[int, float] = {}

    def within_limit(index: int) -> bool:
        try:
            measured[index] = latency(networks[index][1])
        except DeviceLostError:
            raise
        except MeasurementError:
            return False
        return measured[index] <= limit_ms

    widest = widest_satisfying(range(len(networks)), within_limit)
    return None if widest is None else Uniform(*networks[widest], measured[widest])
