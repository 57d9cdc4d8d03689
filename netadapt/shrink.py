"""NetAdapt's loop (arXiv 1804.03230, algorithm 1, as MobileNetV3 uses it: arXiv 1905.02244, section 4.2).

Each step asks every width group for its smallest change that saves delta of latency, has the proposals
fine-tuned, and goes on with the best of them, until the target. A network that ends up well below the
target is given back some width, in the same way. Who fine-tunes, and where, is not decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from latency.measuring.source import LatencySource
from netadapt.giving_back import give_back
from netadapt.groups import width_groups
from netadapt.narrowing import narrowed
from netadapt.proposals import (
    Discard,
    Discarded,
    LatencyMs,
    Proposal,
    Widths,
    propose_all,
    remembered,
)
from netadapt.schedule import Schedule, Step, first_step
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

if TYPE_CHECKING:  # the loop itself needs no torch
    import torch

    from netadapt.weights import Keep, Weights

Metric = Literal["ratio", "accuracy"]
"""How the best proposal is chosen: MobileNetV3's dACC / |dLAT|, or NetAdapt's highest accuracy."""

TOLERANCE = 0.02
"""Part of the target that the last network may stay below it."""

GIVING_BACK = 3
"""Steps that give back width, at most: a noisy device would otherwise be followed up and down for ever."""


@dataclass(frozen=True)
class State:
    """A network on the way, with its accuracy (0..1) after fine-tuning and its latency."""

    spec: ArchSpec
    accuracy: float
    latency_ms: float
    low_ms: float = math.inf
    """Lower end of the latency's 95% interval; infinite where it has none."""


class Shrink:
    """The loop as a state machine: `next_step`, fine-tune its proposals, `choose`, until it is `done`.

    Args:
        seed: The network to begin with.
        accuracy: Its accuracy, 0..1, on the images that proposals are compared on.
        latency: A latency source, or a function from a network to milliseconds; asked once a network.
        target_ms: Where to end.
        delta: Part of the seed's latency that each step saves at least: see `Schedule`.
        decay: See `Schedule`.
        widths: The widths that there are.
        metric: How the best proposal is chosen.
        ends: Whether stem and head are narrowed too, beyond the paper's two kinds of group.
        tolerance: Part of the target that the last network may stay below it without being given back
            width. 1 never gives back.

    Raises:
        InputError: A target that is no positive number, a tolerance outside 0..1, an unknown metric, or
            see `Schedule`.
    """

    def __init__(
        self,
        seed: ArchSpec,
        *,
        accuracy: float,
        latency: LatencySource | LatencyMs,
        target_ms: float,
        delta: float = 0.1,
        decay: float = 1.0,
        widths: Widths | None = None,
        metric: Metric = "ratio",
        ends: bool = False,
        tolerance: float = TOLERANCE,
    ) -> None:
        if not (math.isfinite(target_ms) and target_ms > 0):
            raise InputError(f"target_ms must be above 0, got {target_ms:g}: give milliseconds")
        if metric not in get_args(Metric):
            raise InputError(f"metric must be {' or '.join(get_args(Metric))}, got {metric!r}")
        if not 0 < tolerance <= 1:
            raise InputError(
                f"tolerance must be above 0 and at most 1, got {tolerance:g}: give for instance 0.02"
            )
        self._source, self.target_ms, self.metric = latency, target_ms, metric
        self.latency = remembered(latency)
        self.seed, self.widths, self.ends = seed, widths or Widths(), ends
        self.current = State(seed, accuracy, self.latency(seed))
        self.schedule = Schedule(self.current.latency_ms, delta=delta, decay=decay)
        self.steps = 0
        self.stuck = False
        self.tolerance = tolerance
        self._back = 0  # steps that gave back

    @property
    def done(self) -> bool:
        """Whether the target is reached as closely as it can be, or no group can give more (`stuck`)."""
        return self.stuck or (self.reached and not self.giving_back)

    @property
    def reached(self) -> bool:
        """Whether the current network is within the target, or not measurably above it."""
        now = self.current
        close = now.latency_ms <= (1 + self.tolerance / 2) * self.target_ms
        return now.latency_ms <= self.target_ms or (close and now.low_ms <= self.target_ms)

    @property
    def far_below(self) -> bool:
        """Whether the current network is below the target by more than the tolerance."""
        return self.current.latency_ms < (1 - self.tolerance) * self.target_ms

    @property
    def giving_back(self) -> bool:
        """Whether the current network is so far below the target that the next step widens a group."""
        return self.far_below and self.steps > 0 and self._back < GIVING_BACK

    def unmeasured(self, step: Step) -> bool:
        """Whether a step has no proposals because nothing could be measured, whichever group was asked."""
        asked = {
            group
            for group in width_groups(self.current.spec, ends=self.ends)
            if self.widths.below(group.width)
        }
        return not step.proposals and bool(asked) and asked <= {d.group for d in step.discarded}

    def floor_ms(self) -> float:
        """Latency of the network with every group at its narrowest: no target below it can be reached."""
        return self.latency(narrowest(self.seed, self.widths, ends=self.ends))

    def next_step(self) -> Step:
        """The proposals of the next step; none, and the loop is done, where no group can give any.

        Its delta is negative where it gives back.

        Raises:
            DeviceLostError: The device is. A network that cannot be measured for another reason is among
                the step's `discarded`.
        """
        spec = self.current.spec
        discarded: dict[str, Discarded] = {}

        def discard(lost: Discarded) -> None:
            discarded[lost.spec.fingerprint] = lost

        if self.giving_back:
            return self._step_back(discard, discarded)
        propose = partial(
            propose_all,
            spec,
            latency=self.latency,
            groups=width_groups(spec, ends=self.ends),
            widths=self.widths,
            seed=self.seed,
            discard=discard,
        )
        step = first_step(
            lambda limit_ms: propose(limit_ms=limit_ms),
            current_ms=self.current.latency_ms,
            deltas_ms=self.schedule.deltas_ms(self.steps),
            target_ms=self.target_ms,
        )
        if not step.proposals:
            self.nothing_proposed()
        return replace(step, discarded=tuple(discarded.values()))

    def _step_back(self, discard: Discard, discarded: Mapping[str, Discarded]) -> Step:
        # What is chosen is measured once more, and may turn out a little slower. So there is a margin; what
        # leaves none is tried once, since a network above the target has to be narrowed again.
        limits_ms = [(1 - self.tolerance / 2) * self.target_ms]
        if self._back == 0:
            limits_ms.append(self.target_ms)
        proposals = give_back(
            self.current.spec,
            seed=self.seed,
            latency=self.latency,
            target_ms=self.target_ms,
            limits_ms=limits_ms,
            tolerance=self.tolerance,
            widths=self.widths,
            ends=self.ends,
            discard=discard,
        )
        if not proposals:
            self.nothing_proposed()
        delta_ms = self.current.latency_ms - self.target_ms
        return Step(delta_ms, tuple(proposals), tuple(discarded.values()))

    def nothing_proposed(self) -> None:
        """No group can give anything in the next step, or all its proposals failed: the loop is done."""
        if self.giving_back:
            self._back = GIVING_BACK
        else:
            self.stuck = True

    def score(self, accuracy: float, latency_ms: float) -> float:
        """What a fine-tuned proposal is chosen by; larger is better.

        By ratio: the change of accuracy over the latency saved, mostly below 0. A proposal that saves much
        may lose more. What it saves below the target is worth nothing. Of proposals that give back, all to
        about the target, the most accurate is the best.
        """
        if self.metric == "accuracy":
            return accuracy
        saved = abs(self.current.latency_ms - max(latency_ms, self.target_ms))
        return (accuracy - self.current.accuracy) / max(saved, 1e-9)

    def choose(
        self, proposals: Sequence[tuple[ArchSpec, float]], accuracies: Sequence[float | None]
    ) -> int | None:
        """Go on with the best proposal; its place, or None where all failed: then the loop is done.

        Args:
            proposals: Network and latency in milliseconds of each.
            accuracies: Of each after fine-tuning, 0..1; None where that failed.
        """
        scored = [
            (self.score(accuracy, latency_ms), -place)
            for place, ((_, latency_ms), accuracy) in enumerate(
                zip(proposals, accuracies, strict=True)
            )
            if accuracy is not None
        ]
        if not scored:
            self.nothing_proposed()
            self.steps += 1
            return None
        self._back += self.giving_back
        self.steps += 1
        place = -max(scored)[1]
        spec, latency_ms = proposals[place]
        accuracy = accuracies[place]
        assert accuracy is not None
        self.current = State(spec, accuracy, latency_ms)
        return place

    def confirm(self, latency_ms: float, *, low_ms: float = math.inf) -> None:
        """Take another latency of the current network; from now on the source is asked anew.

        Args:
            latency_ms: The latency.
            low_ms: The lower end of its 95% interval: a target above it is reached.
        """
        self.current = replace(self.current, latency_ms=latency_ms, low_ms=low_ms)
        self.latency = remembered(self._source)


def narrowest(spec: ArchSpec, widths: Widths, *, ends: bool = False) -> ArchSpec:
    """The network with every group at its narrowest width."""
    seed = spec
    for place in range(len(width_groups(spec, ends=ends))):
        group = width_groups(spec, ends=ends)[place]
        below = widths.below(group.width)
        if below:
            spec = narrowed(spec, group, below[0], seed=seed)
    return spec


if TYPE_CHECKING:
    Tune = Callable[[ArchSpec, dict[str, torch.Tensor]], tuple[float, Weights]]
    """Fine-tunes a network from inherited weights; its accuracy (0..1) and its weights afterwards."""


@dataclass(frozen=True)
class Adapted:
    """A network of the family that NetAdapt leaves: one a step."""

    step: int
    spec: ArchSpec
    accuracy: float
    latency_ms: float
    weights: Weights


def shrink(
    loop: Shrink, weights: Weights, tune: Tune, *, keep: Keep = "first"
) -> Iterator[Adapted]:
    """Run the loop here, one proposal after the other; yields the network of every step.

    Args:
        loop: Fresh.
        weights: The seed's.
        tune: Fine-tunes a proposal.
        keep: Which channels stay: see `netadapt.weights.inherit`.
    """
    from netadapt.weights import passed_on

    while not loop.done:
        step = loop.next_step()
        parent = loop.current.spec
        tuned = [
            tune(p.spec, passed_on(parent, weights, p.spec, keep=keep)) for p in step.proposals
        ]
        pairs = [(proposal.spec, proposal.latency_ms) for proposal in step.proposals]
        place = loop.choose(pairs, [accuracy for accuracy, _ in tuned]) if pairs else None
        if place is None:
            return
        weights = tuned[place][1]
        now = loop.current
        yield Adapted(loop.steps, now.spec, now.accuracy, now.latency_ms, weights)


__all__ = ["Adapted", "Metric", "Proposal", "Shrink", "State", "narrowest", "shrink"]
