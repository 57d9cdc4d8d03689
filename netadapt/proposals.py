"""One proposal per group: the widest, or deepest, network whose latency is within the step's limit.

The proposals of NetAdapt's algorithm 1 (arXiv 1804.03230), for MobileNetV3's two kinds of group
(arXiv 1905.02244, section 4.2), and for the depth of stages. Networks are only measured here; nothing is
trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from latency.measuring.source import DeviceLostError, MeasurementError
from netadapt.memoized import LatencyMs
from netadapt.narrowing.groups import Group, width_groups
from netadapt.narrowing.narrowed import resized
from netadapt.narrowing.widths import Widths
from netadapt.widest import widest_satisfying
from search_spaces.spec import ArchSpec


@dataclass(frozen=True)
class Resized:
    """A network with one group at another width.

    Attributes:
        group: The group, before the change.
        width: Its channels after it.
        spec: The changed network.
    """

    group: Group
    width: int
    spec: ArchSpec

    @property
    def name(self) -> str:
        """The change in words: `block 3 expansion 72 -> 40`."""
        return f"{self.group.name} {self.group.width} -> {self.width}"


@dataclass(frozen=True)
class Proposal(Resized):
    """A candidate for fine-tuning, with its latency."""

    latency_ms: float


@dataclass(frozen=True)
class Discarded(Resized):
    """A network that could not be measured, and why."""

    reason: str


OnDiscard = Callable[[Discarded], None]
"""Called with each network that cannot be measured."""


def raise_discarded(discarded: Discarded) -> None:
    """Treat a network that cannot be measured as an error.

    Raises:
        MeasurementError: Always.
    """
    raise MeasurementError(f"{discarded.name}: {discarded.reason}")


def propose(
    spec: ArchSpec,
    group: Group,
    widths: Sequence[int],
    *,
    latency: LatencyMs,
    limit_ms: float,
    seed: ArchSpec | None = None,
    on_discard: OnDiscard = raise_discarded,
) -> Proposal | None:
    """Resize one group to the widest of `widths` within the limit; None if there is none.

    At most 1 + ceil(log2(n)) + `LOOK_ABOVE` of n widths are measured, and only one where the narrowest
    is too slow. A stage loses one block after another until it is fast enough.

    Args:
        spec: The current network.
        group: One of its groups.
        widths: Widths to choose from, ascending.
        latency: Latency function; see `memoized`.
        limit_ms: Highest latency of the proposal.
        seed: See `narrowed`.
        on_discard: Called with a network that cannot be measured. If it returns, the network counts as
            too slow.

    Raises:
        DeviceLostError: The device is lost.
        MeasurementError: A network cannot be measured, and `on_discard` is the default.
    """
    measured: dict[int, Proposal] = {}

    def within_limit(width: int) -> bool:
        child = resized(spec, group, width, seed=seed)
        try:
            measured[width] = Proposal(group, width, child, latency(child))
        except DeviceLostError:
            raise
        except MeasurementError as error:
            on_discard(Discarded(group, width, child, str(error)))
            return False
        return measured[width].latency_ms <= limit_ms

    if group.kind == "depth":
        widest = next(filter(within_limit, reversed(widths)), None)
    else:
        widest = widest_satisfying(widths, within_limit)
    return None if widest is None else measured[widest]


def propose_all(
    spec: ArchSpec,
    *,
    latency: LatencyMs,
    limit_ms: float,
    groups: Iterable[Group] | None = None,
    widths: Widths | None = None,
    seed: ArchSpec | None = None,
    on_discard: OnDiscard = raise_discarded,
) -> list[Proposal]:
    """Narrow each group as little as the limit allows; leave out groups that cannot meet it.

    Arguments and errors are those of `propose`. `groups` defaults to the paper's two kinds, `widths` to
    multiples of 8.

    >>> from latency.estimates.madds import MaddsEstimate
    >>> from netadapt.memoized import memoized
    >>> from search_spaces.references import mobilenet_v3_small
    >>> spec, latency = mobilenet_v3_small(), memoized(MaddsEstimate(10.0))
    >>> for p in propose_all(spec, latency=latency, limit_ms=0.9 * latency(spec)):
    ...     print(p.name)
    block 9 expansion 576 -> 56
    block 10 expansion 576 -> 56
    blocks 3-5 bottleneck 40 -> 8
    blocks 8-10 bottleneck 96 -> 56
    """
    allowed = widths or Widths()
    proposals = (
        propose(
            spec,
            group,
            group.smaller(allowed),
            latency=latency,
            limit_ms=limit_ms,
            seed=seed,
            on_discard=on_discard,
        )
        for group in (width_groups(spec) if groups is None else groups)
    )
    return [proposal for proposal in proposals if proposal]
