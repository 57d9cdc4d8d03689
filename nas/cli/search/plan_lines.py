"""The plan of a search as it is shown: a line a subject."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from latency import LatencySource, units
from nas.cli.search.opening import Job
from nas.formatting import counted, duration, networks, three_digits
from nas.searching.config import SearchConfig
from nas.searching.fidelity import LEAST_PAIRS
from nas.searching.planning.earlier_runs import Earlier
from nas.searching.planning.forecast import Cost, Span
from nas.statistics.advice import Advice, reading_error

Line = tuple[str, str]
"""A subject, and what is said about it."""


@dataclass(frozen=True)
class Prospect:
    """What a search's space spans on one of its devices.

    Attributes:
        typed: The device, as the user wrote it.
        source: Of its latencies.
        span: Of the space on it.
        target_ms: The search's on it.
        option: How another target is typed, up to its number.
        given: Whether the user gave the target.
    """

    typed: str
    source: LatencySource
    span: Span
    target_ms: float
    option: str
    given: bool

    @property
    def verdict(self) -> str | None:
        """What to say if the target separates nothing."""
        return self.span.verdict(self.target_ms, option=self.option)

    @property
    def out_of_reach(self) -> str | None:
        """Why no search can meet the target, and which one it can; None if some network meets it."""
        if self.span.reaches(self.target_ms):
            return None
        return f"device {self.typed}: {self.verdict}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "device": self.source.device.name,
            "estimate": self.source.device.estimate,
            "target_ms": self.target_ms,
            "target_binds": self.verdict is None,
            "target_in_reach": self.out_of_reach is None,
            "fastest_ms": self.span.fastest_ms,
            "slowest_ms": self.span.slowest_ms,
            "references_ms": {n: r.median_ms for n, r in self.span.references.items()},
        }


def plan_grid(
    job: Job, prospects: Sequence[Prospect], cost: Cost | None, earlier: Earlier
) -> Table:
    """Everything, a line a subject."""
    noise = _noise_lines(earlier, job.config, held_out=len(job.data.val))
    lines = [*_lines(job, prospects, cost), *noise]
    grid = Table.grid(padding=(0, 2))
    for name, text in lines:
        grid.add_row(Text(name, "bold"), text)
    return grid


def _lines(job: Job, prospects: Sequence[Prospect], cost: Cost | None) -> list[Line]:
    data, space, config = job.data, job.space, job.config
    lines = [
        ("space", f"{space.name}: {len(space.arities)} decisions, {networks(space.size)}"),
        (
            "data",
            f"{data.name}: {len(data.classes)} classes, {len(data.train)} images to train on, "
            f"{len(data.val)} held out, {len(data.test)} to test",
        ),
        ("size", _size(config)),
    ]
    for prospect in prospects:
        lines += _device_lines(prospect, config)
    lines.append(
        (
            "search",
            f"{config.controller.name}, {_trials(config)} in batches of {config.batch_size}, "
            f"{config.reward.kind} reward, seed {config.seed}",
        )
    )
    laws = config.latency_warmup.laws if config.latency_warmup is not None else ()
    if laws and not any(prospect.out_of_reach for prospect in prospects):
        error = max(law.error for law in laws)
        text = f"starts within the target; latency estimated from MAdds (off by {error:.0%} here)"
        lines.append(("guess", text))
    if config.fidelity is not None:
        first, keep = config.fidelity.first, config.fidelity.keep
        text = (
            f"all trials train for {first:.0%} of the length, the better {keep:.0%} of a batch then in "
            f"full (more until {LEAST_PAIRS} have)"
        )
        lines.append(("fidelity", text))
    if config.warm_start:
        lines.append(("weights", f"trials begin with those of {', '.join(config.warm_start)}"))
    if cost is not None:
        at_once = workers(config)
        on = f"on {counted(at_once, 'worker')}" if at_once else "in this process"
        parts = (
            f"{counted(config.trials, 'trial')} {duration(cost.trials_s)}, "
            f"{counted(config.finals.count, 'finalist')} {duration(cost.finals_s)}, "
            f"latency {duration(cost.latency_s)}"
            + (f", starting the workers {duration(cost.start_s)}" if cost.start_s else "")
        )
        lines.append(("cost", f"about {duration(cost.total_s)} {on}: {parts}"))
    return lines


def _noise_lines(earlier: Earlier, config: SearchConfig, *, held_out: int) -> list[Line]:
    """What is known of the noise, and how many trials are worth it."""
    if earlier.noise is not None:
        return [
            ("noise", f"{earlier.noise.figures()}: from {', '.join(earlier.names)}"),
            ("advice", Advice.of(earlier.noise).before(config.trials, earlier.too_early)),
        ]
    points = reading_error(held_out)
    known = f"up to {points:.1f} points by {held_out:,} held-out images alone"
    if config.finals.repeats == 0:
        return [("noise", known)]
    repeats = counted(config.finals.repeats, "trial")
    return [("noise", f"{known}; {repeats} trained twice at the end will tell")]


def _trials(config: SearchConfig) -> str:
    if config.budget_s is None:
        return counted(config.trials, "trial")
    return f"as many trials as fit {duration(config.budget_s)}"


def _device_lines(prospect: Prospect, config: SearchConfig) -> list[Line]:
    """A device, what the space spans on it, and the target."""
    span, source = prospect.span, prospect.source
    beside = ", ".join(
        f"{_title(name)} {three_digits(reading.median_ms)} ms"
        for name, reading in span.references.items()
    )
    kind = "not measured: " if source.device.estimate else ""
    several = len(units(source))
    pool = f", a pool of {several}" if several > 1 else ""
    why = "" if prospect.given else ", MobileNetV3-Large's here (--target-ms sets it)"
    return [
        ("device", f"{kind}{source.device.name}{pool}"),
        (
            "latency",
            f"{three_digits(span.fastest_ms)} to {three_digits(span.slowest_ms)} ms "
            f"at {config.resolution} px ({len(span.networks)} networks looked at); {beside}",
        ),
        ("target", f"{three_digits(prospect.target_ms)} ms{why}{_reach(prospect)}"),
    ]


def _reach(prospect: Prospect) -> str:
    return ": out of reach" if prospect.out_of_reach else ""


def _size(config: SearchConfig) -> str:
    sizes = config.sizes
    if not sizes.differ:
        return f"{sizes.deployed_px} px, in trials as on the device (--resolution sets it)"
    part = config.finals.deployed_part
    return (
        f"{sizes.deployed_px} px on the device, {sizes.proxy_px} px in trials; finalists train the last "
        f"{part:.0%} of their steps at {sizes.deployed_px} px"
    )


def _title(name: str) -> str:
    """`mobilenet_v3_large` as people write it."""
    return (
        name.replace("mobilenet_v", "MobileNetV")
        .replace("_large", "-Large")
        .replace("_small", "-Small")
    )


def workers(config: SearchConfig) -> int:
    """Trials at once; 0 trains in this process."""
    if config.schedule.workers is not None:
        return config.schedule.workers
    return max(1, (os.cpu_count() or 1) // config.schedule.cpus_per_trial)
