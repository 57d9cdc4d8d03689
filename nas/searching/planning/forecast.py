"""What a search is about to do: what its space spans on the device, and what it will cost."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from latency import Cached, Latency, LatencySource, MeasurementError, units
from nas.engine.measuring import measure
from nas.formatting import three_digits, two_digits_up
from nas.searching.config import SearchConfig
from nas.searching.fidelity import full_lengths
from nas.searching.latency_warmup import rising_line
from nas.training.speed import training_speed
from search_spaces import REFERENCES, ArchSpec, FactorizedSpace, Tokens, count

SAMPLED = 6
"""Random networks measured besides the extremes."""

DRAWS = 50
"""Networks drawn in search of one that has not been measured before."""

STARTING_S = 10.0
"""Seconds that Ray and its workers' imports take before the first training, as seen on two cores."""

BESIDE = ("mobilenet_v3_large", "mobilenet_v3_small")


@dataclass(frozen=True)
class Span:
    """Latencies of a space on a device.

    Attributes:
        networks: (spec, latency) of the space, fastest first: its extremes in multiply-adds and
            some random ones.
        references: Published networks at the same resolution and number of classes, by name.
        measured_s: Seconds that one measurement took; of a pool, divided by its devices.
    """

    networks: Sequence[tuple[ArchSpec, Latency]]
    references: dict[str, Latency]
    measured_s: float

    @property
    def points(self) -> list[tuple[ArchSpec, float]]:
        """Each network of the space that was looked at, with its latency in ms."""
        return [(spec, reading.median_ms) for spec, reading in self.networks]

    @property
    def fastest_ms(self) -> float:
        """Of the networks looked at."""
        return self.networks[0][1].median_ms

    @property
    def slowest_ms(self) -> float:
        """Of the networks looked at."""
        return self.networks[-1][1].median_ms

    @property
    def typical(self) -> tuple[ArchSpec, Latency]:
        """The middle one."""
        return self.networks[len(self.networks) // 2]

    def verdict(self, target_ms: float, *, option: str = "--target-ms ") -> str | None:
        """What to say if the target does not separate the space's networks, else None.

        Args:
            target_ms: The target on this device.
            option: How another is typed, up to its number.
        """
        if not self.reaches(target_ms):
            return (
                f"no network looked at is under {target_ms:g} ms here, the fastest takes "
                f"{three_digits(self.fastest_ms)} ms: try {option}{two_digits_up(self.fastest_ms)}"
            )
        if target_ms >= self.slowest_ms:
            suggestion = f"try {option}{self.typical[1].median_ms:.2g}"
            return f"every network looked at is under {target_ms:g} ms here: {suggestion}"
        return None

    def reaches(self, target_ms: float) -> bool:
        """Whether at least the fastest network looked at is within the target."""
        return target_ms >= self.fastest_ms


def measure_span(
    space: FactorizedSpace,
    source: LatencySource,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Span:
    """Measure the extremes of a space, some random networks, and the reference networks.

    Raises:
        MeasurementError: The device refuses one of them, or is lost.
    """
    draw = random.Random(seed)
    tokens: list[Tokens] = [extreme(space, largest=False), extreme(space, largest=True)]
    tokens += [_drawn(space, draw) for _ in range(SAMPLED)]
    classes = space.head.classes
    specs = [space.decode(t) for t in tokens]
    beside = {n: REFERENCES[n](resolution=space.resolution, classes=classes) for n in BESIDE}
    everything = [*specs, *beside.values()]
    new = {spec.fingerprint for spec in everything if not _is_kept(source, spec)}
    readings, spent_s = _measured(source, everything, progress)
    networks = sorted(zip(specs, readings, strict=False), key=lambda pair: pair[1].median_ms)
    references = dict(zip(beside, readings[len(specs) :], strict=True))
    if not new:
        spent_s, new = _measure_another(space, source, draw)
    # No measurement is faster than its runs.
    ran_s = sum(reading.samples * reading.median_ms for reading in readings) / 1e3
    least_s = ran_s / max(1, len(units(source))) / len(everything)
    return Span(networks, references, max(least_s, spent_s / max(1, len(new))))


def _drawn(space: FactorizedSpace, draw: random.Random) -> Tokens:
    return tuple(draw.randrange(arity) for arity in space.arities)


def _is_kept(source: LatencySource, spec: ArchSpec) -> bool:
    """Whether the source has a reading of the network already, and so need not measure it."""
    return isinstance(source, Cached) and source.holds(spec)


def _measured(
    source: LatencySource, specs: Sequence[ArchSpec], progress: Callable[[int, int], None]
) -> tuple[list[Latency], float]:
    """Each network's latency, and the seconds that all of them took.

    Raises:
        MeasurementError: The device refuses one of them, or is lost.
    """
    begin = time.perf_counter()
    readings: list[Latency] = []
    for told in measure([source], specs, progress):
        if isinstance(told, MeasurementError):
            raise told
        readings += told
    return readings, time.perf_counter() - begin


def _measure_another(
    space: FactorizedSpace, source: LatencySource, draw: random.Random
) -> tuple[float, set[str]]:
    """Measure a network that is not kept yet: kept readings do not tell how long a new one takes.

    Returns:
        Seconds, and the network's fingerprint; nothing where every network drawn is kept.
    """
    for _ in range(DRAWS):
        spec = space.decode(_drawn(space, draw))
        if not _is_kept(source, spec):
            _, spent_s = _measured(source, [spec], lambda _done, _total: None)
            return spent_s, {spec.fingerprint}
    return 0.0, set()


def extreme(space: FactorizedSpace, *, largest: bool) -> Tokens:
    """The token sequence of most, or fewest, multiply-adds, one decision at a time.

    Decisions interact little in multiply-adds: a second pass is for the layers that the first one added.
    """
    sign = -1 if largest else 1
    tokens: Tokens = (0,) * len(space.arities)
    for _ in range(2):
        for position, arity in enumerate(space.arities):
            options: list[Tokens] = [
                (*tokens[:position], t, *tokens[position + 1 :]) for t in range(arity)
            ]
            tokens = min(options, key=lambda t: sign * count(space.decode(t)).madds)
    return tokens


@dataclass(frozen=True)
class Cost:
    """Expected seconds of a search.

    Attributes:
        trials: Of the search.
        trials_s: Of their trainings, on all workers.
        finals_s: Of the finalists and repeats.
        latency_s: Of measuring.
        start_s: Of starting the workers.
    """

    trials: int
    trials_s: float
    finals_s: float
    latency_s: float
    start_s: float = 0.0

    @property
    def trial_s(self) -> float:
        """Of one trial, measured and trained."""
        return (self.trials_s + self.latency_s) / self.trials

    def of(self, trials: int) -> Cost:
        """The cost of a search of so many."""
        part = trials / self.trials
        return replace(
            self, trials=trials, trials_s=part * self.trials_s, latency_s=part * self.latency_s
        )

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.start_s + self.trials_s + self.finals_s + self.latency_s


def estimate_cost(
    config: SearchConfig,
    spans: Sequence[Span],
    *,
    train_images: int,
    val_images: int,
    workers: int,
    within_ms: Sequence[float] = (),
) -> Cost:
    """Time a few steps of some networks here, and extrapolate.

    A trial's training time follows from its network's latency, by a power law through the networks that
    were timed: small images train slower than the latency alone suggests, since every layer has a fixed
    cost. Where a search keeps within its targets, networks above a target count as networks at it.

    Args:
        config: The search.
        spans: Its space's, on each device.
        train_images: In the training part.
        val_images: In the held-out part.
        workers: Trials at once.
        within_ms: The targets that the search begins within, on each device.
    """
    sizes, finals = config.sizes, config.finals
    image_s = partial(_image_s, config, spans, within_ms=within_ms)
    proxy_s = image_s(px=sizes.proxy_px)
    deployed_s = image_s(px=sizes.deployed_px) if sizes.differ else proxy_s
    images = config.recipe.total_steps(train_images) * config.recipe.batch_size
    evaluated = val_images / 3  # forward alone: a third
    trial_s = (images + evaluated) * proxy_s
    mean_s = (1 - finals.deployed_part) * proxy_s + finals.deployed_part * deployed_s
    final_s = finals.epochs_factor * images * mean_s + evaluated * deployed_s
    lengths = full_lengths(config.fidelity, config.trials, batch_size=config.batch_size)
    ends_s = finals.count * final_s + finals.repeats * trial_s
    return Cost(
        trials=config.trials,
        trials_s=lengths * trial_s / workers,
        finals_s=max(ends_s / workers, final_s),
        latency_s=config.trials * sum(span.measured_s for span in spans),
        start_s=0.0 if config.schedule.workers == 0 else STARTING_S,
    )


def _image_s(
    config: SearchConfig, spans: Sequence[Span], *, px: int, within_ms: Sequence[float]
) -> float:
    """Seconds that a training spends on an image, as the mean over the networks of a search.

    The extremes are left out: hardly any network is like them. See `estimate_cost` for the arguments.
    """
    networks = spans[0].networks
    timed = networks[
        : len(networks) - 1 : 2
    ]  # the fastest one, and every second one but the slowest
    points = []
    for spec, reading in timed:
        rate = training_speed(spec, config.recipe, px=px, threads=config.schedule.cpus_per_trial)
        points.append((math.log(reading.median_ms), -math.log(rate)))
    slope, intercept = rising_line(points)
    limits = [max(ms, span.fastest_ms) for ms, span in zip(within_ms, spans, strict=False)]
    seconds = []
    for spec, reading in networks[1:-1] or networks:
        others = [_ms_of(spec, span) for span in spans]
        over = max([1.0, *(ms / limit for ms, limit in zip(others, limits, strict=False))])
        seconds.append(math.exp(intercept + slope * math.log(reading.median_ms / over)))
    return fmean(seconds)


def _ms_of(spec: ArchSpec, span: Span) -> float:
    return next(ms for other, ms in span.points if other == spec)
