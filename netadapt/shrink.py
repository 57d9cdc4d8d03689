"""NetAdapt's loop (arXiv 1804.03230, algorithm 1) as MobileNetV3 uses it (arXiv 1905.02244, section 4.2).

In each step every group proposes its smallest change that saves delta of latency. The proposals are
fine-tuned and the best becomes the current network, until the target is reached. A network well below the
target is widened again in the same way. `Shrink` takes these decisions; its caller fine-tunes, in this
process (`netadapt.serial`) or on workers:

    loop = Shrink(seed, Settings(target_ms=20.0), accuracy=0.75, latency=source)
    while not loop.done:
        step = loop.next_step()
        loop.choose([(p.spec, p.latency_ms) for p in step.proposals], [tune(p) for p in step.proposals])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from latency.measuring.source import LatencySource
from netadapt.memoized import LatencyMs, memoized
from netadapt.proposals import Discarded, OnDiscard, propose_all
from netadapt.schedule import Schedule, Step, first_step
from netadapt.settings import Settings
from netadapt.widening import widen
from search_spaces.spec import ArchSpec

MAX_WIDENINGS = 3
"""Steps that widen, at most: on a noisy device narrowing and widening could alternate for ever."""


@dataclass(frozen=True)
class State:
    """A network with its accuracy (0..1) after fine-tuning and its latency.

    `low_ms` is the lower end of the latency's 95% interval; infinite without one.
    """

    spec: ArchSpec
    accuracy: float
    latency_ms: float
    low_ms: float = math.inf


class Shrink:
    """NetAdapt's decisions: call `next_step`, fine-tune its proposals, call `choose`, until `done`.

    Args:
        seed: The network to start from.
        settings: Target, schedule and widths.
        accuracy: The seed's accuracy, 0..1, on the images that proposals are compared on.
        latency: A latency source, or a function from a network to milliseconds; memoized here.

    Attributes:
        current: The network that the next step changes.
        steps: Steps taken.
        stuck: Whether no group can save any more latency.

    Raises:
        InputError: See `Schedule`.
    """

    def __init__(
        self,
        seed: ArchSpec,
        settings: Settings,
        *,
        accuracy: float,
        latency: LatencySource | LatencyMs,
    ) -> None:
        self.seed, self.settings = seed, settings
        self._source, self.latency = latency, memoized(latency)
        self.current = State(seed, accuracy, self.latency(seed))
        self.schedule = Schedule(
            self.current.latency_ms, delta=settings.delta, decay=settings.decay
        )
        self.steps, self._widenings = 0, 0
        self.stuck = False

    @property
    def target_ms(self) -> float:
        """Target latency."""
        return self.settings.target_ms

    @property
    def done(self) -> bool:
        """Whether the network is as close to the target as it gets."""
        return self.stuck or (self.reached and not self.widening)

    @property
    def reached(self) -> bool:
        """Whether the current network is within the target, or not measurably above it."""
        now = self.current
        close = now.latency_ms <= (1 + self.settings.tolerance / 2) * self.target_ms
        return now.latency_ms <= self.target_ms or (close and now.low_ms <= self.target_ms)

    @property
    def far_below(self) -> bool:
        """Whether the current network is below the target by more than the tolerance."""
        return self.current.latency_ms < (1 - self.settings.tolerance) * self.target_ms

    @property
    def widening(self) -> bool:
        """Whether the next step widens a group."""
        return self.far_below and self.steps > 0 and self._widenings < MAX_WIDENINGS

    def next_step(self) -> Step:
        """Return the proposals of the next step; without any, the loop is done.

        The delta of a widening step is negative. Networks that cannot be measured are in the step's
        `discarded`.

        Raises:
            DeviceLostError: The device is lost.
        """
        discarded: dict[str, Discarded] = {}

        def on_discard(lost: Discarded) -> None:
            discarded[lost.spec.fingerprint] = lost

        step = self._widen(on_discard) if self.widening else self._narrow(on_discard)
        self.accept(step.proposals)
        return replace(step, discarded=tuple(discarded.values()))

    def accept(self, proposals: Sequence[object]) -> None:
        """Begin a step with new proposals or with recorded ones; without any, end the loop."""
        if not proposals:
            self.nothing_proposed()

    def _narrow(self, on_discard: OnDiscard) -> Step:
        propose = partial(
            propose_all,
            self.current.spec,
            latency=self.latency,
            groups=self.settings.groups(self.current.spec),
            widths=self.settings.widths,
            seed=self.seed,
            on_discard=on_discard,
        )
        return first_step(
            lambda limit_ms: propose(limit_ms=limit_ms),
            current_ms=self.current.latency_ms,
            deltas_ms=self.schedule.deltas_ms(self.steps),
            target_ms=self.target_ms,
        )

    def _widen(self, on_discard: OnDiscard) -> Step:
        proposals = widen(
            self.current.spec,
            self.settings,
            seed=self.seed,
            latency=self.latency,
            # Once: a network that then measures above the target has to be narrowed again.
            up_to_target=self._widenings == 0,
            on_discard=on_discard,
        )
        delta_ms = self.current.latency_ms - self.target_ms
        return Step(delta_ms, tuple(proposals), widening=True)

    def nothing_proposed(self) -> None:
        """End the loop: the step has no proposals, or all of them have failed."""
        if self.widening:
            self._widenings = MAX_WIDENINGS
        else:
            self.stuck = True

    def unmeasured(self, step: Step) -> bool:
        """Whether a step has no proposals because no group could be measured."""
        groups = self.settings.groups(self.current.spec)
        tried = {group for group in groups if group.smaller(self.settings.widths)}
        return not step.proposals and bool(tried) and tried <= {d.group for d in step.discarded}

    def score(self, accuracy: float, latency_ms: float) -> float:
        """Score a fine-tuned proposal; larger is better.

        The ratio is the change of accuracy per millisecond saved, mostly negative: a proposal that saves
        more may lose more. Latency saved below the target counts for nothing. Widened proposals all end
        near the target, so the most accurate scores highest.
        """
        if self.settings.metric == "accuracy":
            return accuracy
        saved_ms = abs(self.current.latency_ms - max(latency_ms, self.target_ms))
        return (accuracy - self.current.accuracy) / max(saved_ms, 1e-9)

    def choose(
        self, proposals: Sequence[tuple[ArchSpec, float]], accuracies: Sequence[float | None]
    ) -> int | None:
        """Make the best proposal the current network; return its index.

        If all have failed, the loop is done, and None is returned. A step without proposals has ended it
        already, so choosing from none does nothing.

        The best of a widening step is taken even if it is less accurate than the current network: short
        fine-tuning shows little of what capacity is worth, which pays in the final training.

        Args:
            proposals: Network and latency in milliseconds of each.
            accuracies: Accuracy of each after fine-tuning, 0..1; None where that failed.
        """
        if not proposals:
            return None
        states = {
            index: State(spec, accuracy, latency_ms)
            for index, ((spec, latency_ms), accuracy) in enumerate(
                zip(proposals, accuracies, strict=True)
            )
            if accuracy is not None
        }
        if not states:
            self.nothing_proposed()
            self.steps += 1
            return None
        best = max(states, key=lambda i: self.score(states[i].accuracy, states[i].latency_ms))
        self._widenings += self.widening
        self.steps += 1
        self.current = states[best]
        return best

    def confirm(self, latency_ms: float, *, low_ms: float = math.inf) -> None:
        """Replace the current network's latency by a new reading.

        The loop's memo is emptied: networks are measured again, and refused ones are tried again.
        A source that memoizes its own readings still returns them.
        """
        self.current = replace(self.current, latency_ms=latency_ms, low_ms=low_ms)
        self.latency = memoized(self._source)
