"""What a search is about to do: what its space spans on the device, and what it will cost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from latency import Latency, LatencySource, MeasurementError, units
from nas.config import SearchConfig
from nas.fidelity import full_lengths
from nas.measuring import measure
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, ArchSpec, FactorizedSpace, Tokens, count

SAMPLED = 6
"""Random networks measured besides the extremes."""

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
        suggestion = f"try {option}{self.typical[1].median_ms:.2g}"
        if target_ms >= self.slowest_ms:
            return f"every network looked at is under {target_ms:g} ms here: {suggestion}"
        if target_ms < self.fastest_ms:
            return f"no network looked at is under {target_ms:g} ms here: {suggestion}"
        return None


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
    tokens += [tuple(draw.randrange(a) for a in space.arities) for _ in range(SAMPLED)]
    classes = space.head.classes
    specs = [space.decode(t) for t in tokens]
    beside = {n: REFERENCES[n](resolution=space.resolution, classes=classes) for n in BESIDE}
    everything = [*specs, *beside.values()]
    begin = time.perf_counter()
    readings: list[Latency] = []
    for told in measure([source], everything, progress):
        if isinstance(told, MeasurementError):
            raise told
        readings += told
    spent_s = time.perf_counter() - begin
    networks = sorted(zip(specs, readings, strict=False), key=lambda pair: pair[1].median_ms)
    references = dict(zip(beside, readings[len(specs) :], strict=True))
    # A reading from the cache took no time now, but a new network's will.
    ran_s = sum(reading.samples * reading.median_ms for reading in readings) / 1e3
    measured_s = max(spent_s, ran_s / max(1, len(units(source)))) / len(everything)
    return Span(networks, references, measured_s)


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
    """

    trials: int
    trials_s: float
    finals_s: float
    latency_s: float

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
        return self.trials_s + self.finals_s + self.latency_s


def estimate_cost(
    config: SearchConfig,
    spans: Sequence[Span],
    *,
    train_images: int,
    val_images: int,
    workers: int,
    within_ms: Sequence[float] = (),
) -> Cost:
    """Time a few steps of a typical network here, and reckon from that.

    Where a search begins within its targets its networks are as much smaller than the typical one as the
    target is below that one's latency, and train in as much less time.

    Args:
        config: The search.
        spans: Its space's, on each device.
        train_images: In the training part.
        val_images: In the held-out part.
        workers: Trials at once.
        within_ms: The targets that the search begins within, on each device.
    """
    spec = spans[0].typical[0]
    part = 1.0
    for ms, span in zip(within_ms, spans, strict=False):
        part = min(part, max(ms, span.fastest_ms) / span.typical[1].median_ms)
    sizes, finals = config.sizes, config.finals
    speed = partial(training_speed, spec, config.recipe, threads=config.schedule.cpus_per_trial)
    proxy_s = part / speed(px=sizes.proxy_px)  # of an image
    deployed_s = part / speed(px=sizes.deployed_px) if sizes.differ else proxy_s
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
    )


def training_speed(spec: ArchSpec, recipe: Recipe, *, px: int, threads: int) -> float:
    """Images a second that one worker trains a network at, from a few steps on random images."""
    import torch

    from nas.training.allocator import keep_freed_memory
    from nas.training.optimizer import adamw
    from search_spaces.network import build

    keep_freed_memory()
    torch.set_num_threads(threads)
    network = build(spec).to(memory_format=torch.channels_last)
    optimizer = adamw(network, learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay)
    images = torch.rand(recipe.batch_size, 3, px, px).to(memory_format=torch.channels_last)
    labels = torch.zeros(recipe.batch_size, dtype=torch.long)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - begin)
    return recipe.batch_size / min(times)
