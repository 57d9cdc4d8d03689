"""Format the plan of a search, one line per subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from latency import LatencySource, devices_of
from nas.checkpoints.known_classes import fits_classes
from nas.cli.search.job import Job
from nas.formatting import ACCURACY, counted, duration, networks, three_digits
from nas.searching.config import SearchConfig
from nas.searching.fidelity import LEAST_PAIRS
from nas.searching.from_scratch.overlap import Overlap
from nas.searching.planning.earlier_runs import Earlier
from nas.searching.planning.forecast import PARENT, Cost, Span
from nas.searching.sizes import Sizes
from nas.statistics.advice import Advice, reading_error
from search_spaces.spaces.elastic_file import ElasticFile

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

Line = tuple[str, str]
"""A subject and its text."""


@dataclass(frozen=True)
class Prospect:
    """The latency range of a search's space on one of its devices.

    Attributes:
        typed: The device as typed by the user.
        source: Its latency source.
        span: Latency range of the space.
        target_ms: Target latency.
        option: Command-line option for the target, up to its number.
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
        """Describe a target that all or no networks meet; None otherwise."""
        return self.span.verdict(self.target_ms, option=self.option)

    @property
    def out_of_reach(self) -> str | None:
        """Explain why the target cannot be met, with one that can; None if a network meets it."""
        if self.span.reaches(self.target_ms):
            return None
        return f"device {self.typed}: {self.verdict}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
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
    job: Job,
    prospects: Sequence[Prospect],
    cost: Cost | None,
    earlier: Earlier,
    *,
    verbose: bool = False,
) -> Table:
    """Lay out the plan, one line per subject.

    Args:
        job: The search.
        prospects: Latency range on each device.
        cost: Expected cost; None if unknown.
        earlier: Results of earlier runs.
        verbose: Whether to add details of the search.
    """
    lines = [*_decisions(job, prospects, cost), _noise(earlier, job)]
    if verbose:
        lines += _details(job, prospects, cost, earlier)
    grid = Table.grid(padding=(0, 2))
    for name, text in lines:
        grid.add_row(Text(name, "bold"), text)
    return grid


def _decisions(job: Job, prospects: Sequence[Prospect], cost: Cost | None) -> list[Line]:
    """Return the lines that a user needs to decide."""
    data, config = job.data, job.config
    aside = job.ranking_images - len(data.val)
    lent = f" ({aside:,} of them are set aside to rank trials)" if aside else ""
    lines = [
        (
            "data",
            f"{data.name}: {len(data.classes)} classes; {len(data.train):,} images train{lent}; "
            f"{len(data.val):,} choose among networks (held out), {len(data.test):,} test the winner",
        )
    ]
    for prospect in prospects:
        lines += _device_lines(prospect, config.sizes)
    lines.append(("size", _size(config)))
    if config.parent is not None:
        lines.append(("parent", _parent(job, cost)))
    elif config.weights_from is None and not config.warm_start:
        lines.append(
            ("weights", "new ones, trained from scratch; --parent begins with a network's")
        )
    if config.warm_start:
        lines.append(("weights", f"trials start from {', '.join(config.warm_start)}"))
    if job.weights_from is not None:
        lines.append(("weights", _overlap(job, job.weights_from, prospects[0])))
    if job.policy is not None:
        lines.append(("policy", f"the controller begins with that of {job.policy.origin}"))
    if config.teacher is not None:
        lines.append(
            (
                "teacher",
                f"finalists also learn from {config.teacher.path}; trials, which are short, do not",
            )
        )
    if config.fidelity is not None:
        first, keep = config.fidelity.first, config.fidelity.keep
        text = (
            f"all train for {first:.0%} of the steps, then the better {keep:.0%} of a batch in full"
        )
        lines.append(("fidelity", text))
    finals = _finals(config)
    trials = f"{_trials(config)}, then {finals} longer"
    if cost is not None:
        at_once = workers(config)
        on = f"on {counted(at_once, 'worker')}" if at_once else "in this process"
        tried = counted(config.trials, "trial")
        trials = f"about {duration(cost.total_s)} {on}: {tried}, then {finals} longer"
    return [*lines, ("time", trials)]


def _finals(config: SearchConfig) -> str:
    """Say which networks train longer at the end."""
    if config.parent is None:
        return counted(config.finals.count, "finalist")
    finalists = counted(config.finals.count + config.parent.curve, "finalist")
    made = len(config.parent.resolutions or (1,))
    rivals = made + len(config.parent.rivals) + config.parent.with_netadapt
    return f"{finalists} and {'up to ' if made > 1 else ''}{counted(rivals, 'rival')}"


def _parent(job: Job, cost: Cost | None) -> str:
    """Say what the search begins with."""
    assert job.config.parent is not None
    assert job.parent is not None
    path = job.config.parent.path
    if fits_classes(job.parent, job.data):
        return f"{path}, whose weights all candidates inherit"
    when = "" if cost is None else f" first ({duration(cost.parent_s)})"
    if cost is not None and cost.parent_s == 0:
        when = " by an earlier run"
    return (
        f"{path}, fine-tuned on these {len(job.data.classes)} classes{when}; all candidates inherit its "
        "weights"
    )


def _overlap(job: Job, parent: Checkpoint, prospect: Prospect) -> str:
    """Say how much of the space's networks is the weights of another."""
    networks = [spec for spec, _ in prospect.span.networks]
    share = Overlap.of(job.space, parent).mean_share(networks)
    return (
        f"{share:.0%} of a network's weights begin as those of {job.config.weights_from} (mean of "
        f"{len(networks)} networks of the space); the rest is new"
    )


def _details(
    job: Job, prospects: Sequence[Prospect], cost: Cost | None, earlier: Earlier
) -> list[Line]:
    """Return the lines on how the search works."""
    space, config = job.space, job.config
    lines = [("space", f"{space.name}: {len(space.arities)} choices, {networks(space.size)}")]
    for prospect in prospects:
        references = ", ".join(
            f"{_title(name)} {three_digits(reading.median_ms)} ms"
            for name, reading in prospect.span.references.items()
        )
        count = len(prospect.span.networks)
        lines.append(("latency", f"{references}; {count} networks of the space measured"))
    lines.append(
        (
            "search",
            f"{config.controller.name} controller, {_trials(config)} in batches of {config.batch_size}, "
            f"{config.reward.kind} reward, seed {config.seed}",
        )
    )
    laws = config.latency_warmup.laws if config.latency_warmup is not None else ()
    if laws and not any(prospect.out_of_reach for prospect in prospects):
        error = max(law.error for law in laws)
        text = (
            f"candidates are kept near the target by their MAdds (typical error {error:.0%} here)"
        )
        lines.append(("guide", text))
    if config.fidelity is not None:
        lines.append(("fidelity", f"more train in full until {LEAST_PAIRS} have"))
    if cost is not None:
        parts = (
            (f"rivals {duration(cost.rivals_s)}, " if cost.rivals_s else "")
            + f"trials {duration(cost.trials_s)}, finalists {duration(cost.finals_s)}, "
            f"latency {duration(cost.latency_s)}"
            + (f", starting the workers {duration(cost.start_s)}" if cost.start_s else "")
        )
        lines.append(("cost", parts))
    if earlier.noise is not None:
        advice = Advice.of(earlier.noise).before(config.trials, earlier.too_early)
        lines.append(("advice", advice))
    elif repeats := config.finals.repeats:
        lines.append(
            ("repeats", f"{counted(repeats, 'trial')} train again at the end, for the noise")
        )
    return lines


def _noise(earlier: Earlier, job: Job) -> Line:
    """Describe how much accuracies differ by chance."""
    held_out = job.ranking_images
    if earlier.noise is not None:
        return "noise", f"{earlier.noise.figures()}, in {', '.join(earlier.names)}"
    if job.metric != ACCURACY:
        when = (
            "shows when the parent is evaluated"
            if job.parent
            else "is unknown before the first run"
        )
        return "noise", f"how uncertain {job.metric} is on {held_out:,} images {when}"
    points = reading_error(held_out)
    text = f"accuracies are uncertain by up to {points:.1f} points, as {held_out:,} images measure them"
    return "noise", text


def _trials(config: SearchConfig) -> str:
    if config.budget_s is None:
        return counted(config.trials, "trial")
    return f"as many trials as fit {duration(config.budget_s)}"


def _device_lines(prospect: Prospect, sizes: Sizes) -> list[Line]:
    """Return the lines on a device and its target."""
    at = "" if sizes.searched else f" at {sizes.deployed_px} px"
    span, source = prospect.span, prospect.source
    kind = "not measured: " if source.device.estimate else ""
    several = len(devices_of(source))
    pool = f", a pool of {several}" if several > 1 else ""
    why = "" if prospect.given else f" ({_default_target(prospect)}; --target-ms changes it)"
    return [
        ("device", f"{kind}{source.device.name}{pool}"),
        (
            "target",
            f"{three_digits(prospect.target_ms)} ms{why}{_reach(prospect)}; the space has networks of "
            f"{three_digits(span.fastest_ms)} to {three_digits(span.slowest_ms)} ms{at}",
        ),
    ]


def _default_target(prospect: Prospect) -> str:
    if PARENT in prospect.span.references:
        return "half of the parent's latency"
    return "MobileNetV3-Large's latency"


def _reach(prospect: Prospect) -> str:
    return ": out of reach" if prospect.out_of_reach else ""


def _size(config: SearchConfig) -> str:
    sizes = config.sizes
    if config.parent is not None:
        sides = ", ".join(map(str, config.parent.resolutions or (sizes.deployed_px,)))
        own = ElasticFile.read(config.space)
        where = "--resolutions" if own is None or own.resolutions is None else config.space
        return f"{sides} px to choose from, in training and on the device ({where} changes it)"
    if not sizes.differ:
        return f"{sizes.deployed_px} px, in training and on the device (--resolution changes it)"
    part = config.finals.deployed_part
    return (
        f"{sizes.deployed_px} px on the device, {sizes.proxy_px} px in trials; finalists train the last "
        f"{part:.0%} of their steps at {sizes.deployed_px} px"
    )


def _title(name: str) -> str:
    """Return the published spelling of a name such as `mobilenet_v3_large`."""
    return (
        name.replace("mobilenet_v", "MobileNetV")
        .replace("_large", "-Large")
        .replace("_small", "-Small")
    )


def workers(config: SearchConfig) -> int:
    """Return the number of trials at once; 0 trains in this process."""
    return 0 if config.schedule.workers == 0 else config.schedule.at_once
