"""Forecast a search: the latencies in its space on the device, and its cost."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from latency import Cached, Latency, LatencySource, MeasurementError, Paced, devices_of
from nas.engine.measuring import measure
from nas.formatting import three_digits, two_digits_up
from nas.searching.config import SearchConfig
from nas.searching.fidelity import full_lengths
from nas.searching.latency_warmup import rising_line
from nas.tasks import task_of, task_of_spec
from nas.training.speed import training_speed
from search_spaces import REFERENCES, ArchSpec, ElasticSpace, SearchSpace, Tokens, count

SAMPLED = 6
"""Number of random networks measured in addition to the extremes."""

DRAWS = 50
"""Maximum number of draws to find a network that has not been measured before."""

STARTING_S = 10.0
"""Seconds to start Ray and import modules before the first training, measured on two cores."""

PARENT = "the parent"
"""Name of the reference network in a search from a parent."""

REFERENCE_NETWORKS = ("mobilenet_v3_large", "mobilenet_v3_small")


@dataclass(frozen=True)
class Span:
    """Latencies of a space on a device.

    Attributes:
        networks: Sample of (spec, latency), fastest first: the extremes in MAdds and some random networks.
        references: Networks to compare with, by name.
        measured_s: Seconds for one measurement; for a pool, divided by its number of devices.
    """

    networks: Sequence[tuple[ArchSpec, Latency]]
    references: dict[str, Latency]
    measured_s: float

    @property
    def points(self) -> list[tuple[ArchSpec, float]]:
        """Each sampled network with its latency in ms."""
        return [(spec, reading.median_ms) for spec, reading in self.networks]

    @property
    def fastest_ms(self) -> float:
        """Latency of the fastest sampled network."""
        return self.networks[0][1].median_ms

    @property
    def slowest_ms(self) -> float:
        """Latency of the slowest sampled network."""
        return self.networks[-1][1].median_ms

    @property
    def typical(self) -> tuple[ArchSpec, Latency]:
        """The median network."""
        return self.networks[len(self.networks) // 2]

    def verdict(self, target_ms: float, *, option: str = "--target-ms ") -> str | None:
        """Return a warning if the target does not separate the space's networks, else None.

        Args:
            target_ms: The target on this device.
            option: The option that sets a target, up to its number.
        """
        if not self.reaches(target_ms):
            return (
                f"no sampled network is under {target_ms:g} ms here, the fastest takes "
                f"{three_digits(self.fastest_ms)} ms: try {option}{two_digits_up(self.fastest_ms)}"
            )
        if target_ms >= self.slowest_ms:
            suggestion = f"try {option}{self.typical[1].median_ms:.2g}"
            return f"every sampled network is under {target_ms:g} ms here: {suggestion}"
        return None

    def reaches(self, target_ms: float) -> bool:
        """Return whether at least the fastest sampled network is within the target."""
        return target_ms >= self.fastest_ms


def measure_span(
    space: SearchSpace,
    source: LatencySource,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Span:
    """Measure the extremes of a space, some random networks, and networks to compare with.

    Raises:
        MeasurementError: The device refuses a network, or is lost.
    """
    draw = random.Random(seed)
    tokens: list[Tokens] = [extreme(space, largest=False), extreme(space, largest=True)]
    tokens += [_drawn(space, draw) for _ in range(SAMPLED)]
    specs = [space.decode(t) for t in tokens]
    references = _references(space)
    everything = [*specs, *references.values()]
    new = {spec.fingerprint for spec in everything if not _is_kept(source, spec)}
    readings, spent_s = _measured(source, everything, progress)
    networks = sorted(zip(specs, readings, strict=False), key=lambda pair: pair[1].median_ms)
    latencies = dict(zip(references, readings[len(specs) :], strict=True))
    if not new:
        spent_s, new = _measure_another(space, source, draw)
    # A measurement takes at least as long as its runs.
    ran_s = sum(reading.samples * reading.median_ms for reading in readings) / 1e3
    least_s = ran_s / max(1, len(devices_of(source))) / len(everything)
    return Span(networks, latencies, max(least_s, spent_s / max(1, len(new))))


def _references(space: SearchSpace) -> dict[str, ArchSpec]:
    """Return the parent, or published networks of the space's resolution and number of classes."""
    if isinstance(space, ElasticSpace):
        return {PARENT: space.parent}
    spec = space.decode((0,) * len(space.arities))
    task = task_of(task_of_spec(spec))
    return {
        name: task.headed(REFERENCES[name](resolution=spec.resolution), classes=spec.head.classes)
        for name in REFERENCE_NETWORKS
    }


def _drawn(space: SearchSpace, draw: random.Random) -> Tokens:
    return tuple(draw.randrange(arity) for arity in space.arities)


def _is_kept(source: LatencySource, spec: ArchSpec) -> bool:
    """Return whether the source has a reading of the network already."""
    return isinstance(source, Cached | Paced) and source.holds(spec)


def _measured(
    source: LatencySource, specs: Sequence[ArchSpec], progress: Callable[[int, int], None]
) -> tuple[list[Latency], float]:
    """Measure each network; return latencies and total seconds.

    Raises:
        MeasurementError: The device refuses a network, or is lost.
    """
    begin = time.perf_counter()
    readings: list[Latency] = []
    for reading in measure([source], specs, progress):
        if isinstance(reading, MeasurementError):
            raise reading
        readings += reading
    return readings, time.perf_counter() - begin


def _measure_another(
    space: SearchSpace, source: LatencySource, draw: random.Random
) -> tuple[float, set[str]]:
    """Time a measurement of a network without a cached reading, since cached ones take no time.

    Returns:
        Seconds, and the network's fingerprint; nothing if every network drawn is cached.
    """
    for _ in range(DRAWS):
        spec = space.decode(_drawn(space, draw))
        if not _is_kept(source, spec):
            _, spent_s = _measured(source, [spec], lambda _done, _total: None)
            return spent_s, {spec.fingerprint}
    return 0.0, set()


def extreme(space: SearchSpace, *, largest: bool) -> Tokens:
    """Return the token sequence with most, or fewest, MAdds, found one decision at a time.

    Decisions hardly interact in MAdds; a second pass covers layers that the first one added.
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
        trials: Number of trials.
        trials_s: Their training, on all workers together.
        finals_s: Finalists and repeats.
        latency_s: Measuring.
        start_s: Starting the workers.
        parent_s: Fine-tuning the parent, if there is one.
        rivals_s: Training the rivals, before the first trial.
    """

    trials: int
    trials_s: float
    finals_s: float
    latency_s: float
    start_s: float = 0.0
    parent_s: float = 0.0
    rivals_s: float = 0.0

    @property
    def trial_s(self) -> float:
        """One trial, measured and trained."""
        return (self.trials_s + self.latency_s) / self.trials

    def of(self, trials: int) -> Cost:
        """Return the cost of a search with another number of trials."""
        part = trials / self.trials
        return replace(
            self, trials=trials, trials_s=part * self.trials_s, latency_s=part * self.latency_s
        )

    def taught(self, teacher_s: float, *, finalists: int, workers: int) -> Cost:
        """Return the cost of a search whose finalists learn from a teacher.

        Args:
            teacher_s: What the teacher adds to the training of each.
            finalists: Their number.
            workers: Number of trials at once.
        """
        rounds = max(1.0, finalists / workers)
        return replace(self, finals_s=self.finals_s + rounds * teacher_s)

    @property
    def total_s(self) -> float:
        """The whole search."""
        before_s = self.start_s + self.parent_s + self.rivals_s
        return before_s + self.trials_s + self.finals_s + self.latency_s


def estimate_cost(
    config: SearchConfig,
    spans: Sequence[Span],
    *,
    train_images: int,
    val_images: int,
    workers: int,
    within_ms: Sequence[float] = (),
) -> Cost:
    """Time a few training steps of some networks on this machine, and extrapolate.

    The training time of a network is estimated from its latency by a power law through the timed networks:
    small networks train more slowly than latency alone suggests, because every layer has a fixed cost. If a
    search stays within its targets, networks above a target count as networks at it.

    Args:
        config: The search.
        spans: Latencies of its space on each device.
        train_images: Number of training images.
        val_images: Number of held-out images.
        workers: Number of trials at once.
        within_ms: The targets that the search is kept within, on each device.
    """
    sizes, finals = config.sizes, config.finals
    image_s = partial(_image_s, config, spans, within_ms=within_ms)
    proxy_s = image_s(px=sizes.proxy_px)
    deployed_s = image_s(px=sizes.deployed_px) if sizes.differ else proxy_s
    images = config.recipe.total_steps(train_images) * config.recipe.batch_size
    evaluated = val_images / 3  # the forward pass is a third of a training step
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
    """Return the seconds of training per image, averaged over the networks of a search.

    The extremes are excluded, because hardly any network is like them. For the arguments see
    `estimate_cost`.
    """
    networks = spans[0].networks
    timed = networks[
        : len(networks) - 1 : 2
    ]  # the fastest, and every second one except the slowest
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
