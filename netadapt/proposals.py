"""One narrower network for each group: the widest whose latency meets the step's constraint.

The proposals of NetAdapt's algorithm 1 (arXiv 1804.03230), of the kinds that MobileNetV3 has
(arXiv 1905.02244, section 4.2). Only a latency is asked here; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from latency.measuring.source import DeviceLostError, LatencySource, MeasurementError
from netadapt.groups import Group, width_groups
from netadapt.narrowing import resized
from netadapt.widest import widest_satisfying
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

LatencyMs = Callable[[ArchSpec], float]
"""A network's latency in milliseconds."""


@dataclass(frozen=True)
class Widths:
    """The widths that a group may get: multiples of `divisor`, none below `floor`.

    Raises:
        InputError: One of them is below 1.
    """

    divisor: int = 8
    floor: int = 8

    def __post_init__(self) -> None:
        if self.divisor < 1:
            raise InputError(
                f"divisor must be at least 1, got {self.divisor}: give 8, which suits most kernels"
            )
        if self.floor < 1:
            raise InputError(f"floor must be at least 1, got {self.floor}: give for instance 8")

    def below(self, width: int) -> range:
        """Those narrower than `width`, ascending.

        >>> list(Widths(divisor=8, floor=12).below(36))
        [16, 24, 32]
        """
        return range(self.narrowest, width, self.divisor)

    def between(self, width: int, seed_width: int) -> list[int]:
        """Those wider than `width`, up to what the seed has, ascending.

        >>> Widths(divisor=8).between(16, 36)
        [24, 32, 36]
        """
        first = (width // self.divisor + 1) * self.divisor
        return [*range(first, seed_width, self.divisor), *[seed_width][: seed_width > width]]

    @property
    def narrowest(self) -> int:
        """The least of them."""
        return -(-self.floor // self.divisor) * self.divisor


@dataclass(frozen=True)
class Proposal:
    """A network with one group at another width.

    Attributes:
        group: The group, as it was before.
        width: Its channels now.
        spec: The network.
        latency_ms: What the latency source says of it.
    """

    group: Group
    width: int
    spec: ArchSpec
    latency_ms: float

    @property
    def name(self) -> str:
        """For people: `block 3 expansion 72 -> 40`."""
        return f"{self.group.name} {self.group.width} -> {self.width}"


@dataclass(frozen=True)
class Discarded:
    """A network with one group at another width that the latency source could not tell anything of.

    Attributes:
        group: The group, as it was before.
        width: Its channels then.
        spec: The network.
        reason: Why.
    """

    group: Group
    width: int
    spec: ArchSpec
    reason: str

    @property
    def name(self) -> str:
        """For people: `block 3 expansion 72 -> 40`."""
        return f"{self.group.name} {self.group.width} -> {self.width}"


Discard = Callable[[Discarded], None]
"""Is told of a network that cannot be measured."""


def refuse(discarded: Discarded) -> None:
    """Go no further.

    Raises:
        MeasurementError: Always.
    """
    raise MeasurementError(f"{discarded.name}: {discarded.reason}")


def propose(
    spec: ArchSpec,
    group: Group,
    *,
    latency: LatencyMs,
    limit_ms: float,
    widths: Widths = Widths(),
    seed: ArchSpec | None = None,
    discard: Discard = refuse,
) -> Proposal | None:
    """The change of one group by as little as meets the constraint, or None where nothing does.

    `latency` is asked at most 1 + ceil(log2(n)) + `LOOK_ABOVE` times for n widths, and once where the
    group cannot give enough.

    Args:
        spec: The current network.
        group: One of its groups.
        latency: Tells a network's latency.
        limit_ms: What the proposal's latency may be at most: the current one's less delta.
        widths: Which widths there are.
        seed: See `narrowed`.
        discard: Is told of a network that cannot be measured. If it raises nothing, the network counts as
            too slow.

    Raises:
        DeviceLostError: The device is.
        MeasurementError: A network cannot be measured, and `discard` is the default.
    """
    return widest_within(
        spec,
        group,
        widths.below(group.width),
        latency=latency,
        limit_ms=limit_ms,
        seed=seed,
        discard=discard,
    )


def widest_within(
    spec: ArchSpec,
    group: Group,
    widths: Sequence[int],
    *,
    latency: LatencyMs,
    limit_ms: float,
    seed: ArchSpec | None = None,
    discard: Discard = refuse,
) -> Proposal | None:
    """The network with a group at the widest of ascending `widths` that meets a limit; see `propose`."""
    asked: dict[int, Proposal] = {}

    def satisfies(width: int) -> bool:
        child = resized(spec, group, width, seed=seed)
        try:
            asked[width] = Proposal(group, width, child, latency(child))
        except DeviceLostError:
            raise
        except MeasurementError as error:
            discard(Discarded(group, width, child, str(error)))
            return False
        return asked[width].latency_ms <= limit_ms

    found = widest_satisfying(widths, satisfies)
    return None if found is None else asked[found]


def propose_all(
    spec: ArchSpec,
    *,
    latency: LatencyMs,
    limit_ms: float,
    groups: Iterable[Group] | None = None,
    widths: Widths = Widths(),
    seed: ArchSpec | None = None,
    discard: Discard = refuse,
) -> list[Proposal]:
    """A proposal of every group that can give one, in the order of the groups.

    >>> from latency.estimates.madds import MaddsEstimate
    >>> from search_spaces.references import mobilenet_v3_small
    >>> spec, latency = mobilenet_v3_small(), remembered(MaddsEstimate(10.0))
    >>> for p in propose_all(spec, latency=latency, limit_ms=0.9 * latency(spec)):
    ...     print(p.name)
    block 9 expansion 576 -> 56
    block 10 expansion 576 -> 56
    blocks 3-5 bottleneck 40 -> 8
    blocks 8-10 bottleneck 96 -> 56

    Args:
        spec: The current network.
        latency: Tells a network's latency; see `remembered`.
        limit_ms: See `propose`.
        groups: Which of its groups; the paper's two kinds by default.
        widths: See `propose`.
        seed: See `narrowed`.
        discard: See `propose`.

    Raises:
        MeasurementError: See `propose`.
    """
    ask = partial(
        propose,
        spec,
        latency=latency,
        limit_ms=limit_ms,
        widths=widths,
        seed=seed,
        discard=discard,
    )
    proposals = map(ask, width_groups(spec) if groups is None else groups)
    return [proposal for proposal in proposals if proposal]


def remembered(source: LatencySource | LatencyMs) -> LatencyMs:
    """The latencies of a source, which is asked once a network, also if it cannot tell.

    A step that is tried again with a smaller delta then costs only the widths not yet asked.
    """
    ask = source if callable(source) else lambda spec: source.latency(spec).median_ms
    known: dict[str, float | MeasurementError] = {}

    def latency_ms(spec: ArchSpec) -> float:
        if spec.fingerprint not in known:
            try:
                known[spec.fingerprint] = ask(spec)
            except DeviceLostError:
                raise
            except MeasurementError as error:
                known[spec.fingerprint] = error
        answer = known[spec.fingerprint]
        if isinstance(answer, MeasurementError):
            raise answer
        return answer

    return latency_ms
