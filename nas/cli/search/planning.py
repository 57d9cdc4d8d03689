"""Print the plan of a search: what it does, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency import LatencySource, MeasurementError
from latency.estimates.published import PublishedEstimate
from nas.checkpoints.class_names import listed
from nas.checkpoints.known_classes import fits_classes
from nas.cli.machine import require_machine
from nas.cli.search.job import Job
from nas.cli.search.plan_lines import Prospect, plan_grid, workers
from nas.cli.search.reach import require_rivals_in_reach, require_something_to_search
from nas.display.output import noted
from nas.display.progress import Waiting, waiting
from nas.formatting import ACCURACY, counted, duration
from nas.searching.config import SearchConfig, parse_config
from nas.searching.latency_warmup import PowerLaw
from nas.searching.planning.earlier_runs import earlier_runs
from nas.searching.planning.evidence import FEW_STEPS
from nas.searching.planning.forecast import PARENT, Cost, estimate_cost, measure_span
from nas.searching.planning.from_parent import cost_from_parent
from nas.searching.time_budget import RESERVE
from nas.statistics.advice import Advice, reading_error
from nas.tasks import task_of
from nas.training.speed import teacher_speed
from search_spaces import ElasticSpace, InputError

if TYPE_CHECKING:
    from nas.data.images import Dataset

SHOWN_PARTS = 3
"""Number of unusual blocks named in a warning."""

HALF = 0.5
"""Target in a search from a parent, relative to the parent's latency, if none is given."""

COARSE_READING = 2.0
"""Standard error in percentage points; most networks of a space differ by less than a few of these."""


def plan(
    job: Job, runs: Path = Path("runs"), *, verbose: bool = False
) -> tuple[Job, dict[str, Any]]:
    """Print what the search will do and what it will cost.

    Args:
        job: The search.
        runs: Folder of earlier runs; those with the same data and recipe show the noise.
        verbose: Whether to print details of the search.

    Returns:
        The search with its target set, and the plan as plain data: of the first device, and of the others
        under `other_devices`.

    Raises:
        InputError: A device cannot measure the space's networks, or this machine has too few cores or GPUs.
    """
    config, console = job.config, job.console
    require_machine(config.schedule, config.recipe)
    with waiting(console, "measuring the latency range of the space", after_s=0) as status:
        prospects = [
            _prospect(job, typed, source, status)
            for typed, source in zip(config.targets, job.sources, strict=True)
        ]
        require_something_to_search(job, prospects)
        require_rivals_in_reach(job, prospects)
        status.update("timing a few training steps")
        cost = _cost(job, prospects, runs)
    settled = _settled(job, prospects)
    if config.budget_s is not None and cost is not None:
        cost = _fitted(config, cost, spent_s=job.spent_s)
        settled = settled.model_copy(update={"trials": cost.trials})
    job = replace(job, config=settled, cost=cost)
    earlier = earlier_runs(
        runs, job.space, job.data, settled, parent=job.parent, held_out=job.ranking_images
    )
    console.print(plan_grid(job, prospects, cost, earlier, verbose=verbose))
    for prospect in prospects:
        if prospect.verdict is not None:
            what = "cannot be met" if prospect.out_of_reach else "does not bind"
            console.print(noted(f"The target {what}:", f" {prospect.verdict}"))
    warnings = [
        *_warnings(job),
        *_apart(prospects),
        *filter(None, map(_guesses, prospects)),
        *earlier.damaged,
    ]
    for warning in warnings:
        console.print(noted("Note:", f" {warning}"))
    first, *others = (prospect.to_dict() for prospect in prospects)
    expected_s = None if cost is None else cost.total_s
    document = {
        "space": {"name": job.space.name, "networks": job.space.size},
        **first,
        "other_devices": others,
        "out_of_reach": [text for prospect in prospects if (text := prospect.out_of_reach)],
        "expected_s": expected_s,
        "advice": earlier.noise
        and Advice.of(earlier.noise).to_dict(settled.trials, earlier.too_early),
        "warnings": warnings,
    }
    return job, document


def _prospect(job: Job, typed: str, source: LatencySource, status: Waiting) -> Prospect:
    """Measure the latency range of the space on a device.

    Raises:
        InputError: The device cannot measure it.
    """
    name = typed if len(job.sources) > 1 else "the device"

    def progress(done: int, total: int) -> None:
        status.update(
            f"measuring the latency range of the space on {name}: network {done} of {total}"
        )

    try:
        span = measure_span(job.space, source, progress=progress)
    except MeasurementError as error:
        raise InputError(f"device {typed}: {error}: choose another --device") from error
    given_ms = job.config.targets[typed]
    reference, share = "mobilenet_v3_large", 1.0
    if job.parent is not None:
        reference, share = PARENT, HALF
    target_ms = given_ms or share * span.references[reference].median_ms
    option = f"--device {typed}=" if len(job.sources) > 1 else "--target-ms "
    return Prospect(typed, source, span, target_ms, option, given=given_ms is not None)


def _cost(job: Job, prospects: Sequence[Prospect], runs: Path) -> Cost | None:
    """Estimate the cost of the search; None on a cluster or a GPU, whose speed is unknown."""
    config = job.config
    if config.schedule.ray_address is not None or config.schedule.gpus_per_trial > 0:
        return None
    at_once = workers(config) or 1
    if job.parent is not None:
        assert isinstance(job.space, ElasticSpace)
        return cost_from_parent(
            job.space.parent,
            config,
            [prospect.span for prospect in prospects],
            targets_ms=[prospect.target_ms for prospect in prospects],
            train_images=len(job.data.train),
            val_images=len(job.data.val),
            ranking_images=job.ranking_images,
            workers=at_once,
            tunes=not (fits_classes(job.parent, job.data) or job.has_tuned_parent(runs)),
        )
    cost = estimate_cost(
        config,
        [prospect.span for prospect in prospects],
        train_images=len(job.data.train),
        val_images=len(job.data.val),
        workers=at_once,
        within_ms=[prospect.target_ms for prospect in prospects] if job.is_guided else (),
    )
    if job.teacher is None:
        return cost
    return cost.taught(_teacher_s(job), finalists=config.finals.count, workers=at_once)


def _teacher_s(job: Job) -> float:
    """Time some forward passes of the teacher; return what it adds to a finalist's training."""
    assert job.teacher is not None
    config = job.config
    recipe = config.recipe.longer(config.finals.epochs_factor)
    rate = teacher_speed(
        job.teacher.teacher(job.data.classes),
        px=config.sizes.deployed_px,
        batch_size=recipe.batch_size,
        threads=config.schedule.cpus_per_trial,
    )
    return recipe.total_steps(len(job.data.train)) * recipe.batch_size / rate


def _fitted(config: SearchConfig, cost: Cost, *, spent_s: float) -> Cost:
    """Return the cost with as many trials as are expected to fit the time budget.

    Raises:
        InputError: Not even one trial fits.
    """
    assert config.budget_s is not None
    fixed_s = spent_s + cost.start_s + cost.parent_s + cost.rivals_s + cost.finals_s
    room = (config.budget_s * (1 - RESERVE) - fixed_s) / cost.trial_s
    if room < 1:
        raise InputError(
            f"a budget of {duration(config.budget_s)} is too short: {_batch_needs(config, cost, fixed_s)}"
        )
    return cost.of(int(room))


def _batch_needs(config: SearchConfig, cost: Cost, fixed_s: float) -> str:
    """Say which budget one batch and the finalists need."""
    least_s = (fixed_s + config.batch_size * cost.trial_s) / (1 - RESERVE)
    quick = ", or --preset quick" if config.preset != "quick" else ""
    first = "the parent, its rivals, " if config.parent is not None else ""
    return (
        f"{first}one batch of {config.batch_size} and the finalists take about {duration(least_s)} "
        f"here: give --budget {math.ceil(least_s / 60)}m{quick}"
    )


def _settled(job: Job, prospects: Sequence[Prospect]) -> SearchConfig:
    """Complete the settings with the measured target, if none was given, and the latency guesses."""
    found: dict[str, Any] = {}
    if len(prospects) == 1:
        found["target_ms"] = prospects[0].target_ms
    if job.config.latency_warmup is not None:
        points = [prospect.span.points for prospect in prospects if job.is_guided]
        found["latency_warmup"] = {"laws": [PowerLaw.through(p).model_dump() for p in points]}
    return parse_config(job.config.model_dump(mode="json") | found, where="settings")


def _warnings(job: Job) -> list[str]:
    """Warn of settings that the user may not have intended."""
    config, warnings = job.config, []
    learns_from = first_lesson(config)
    if learns_from is not None and learns_from >= config.trials:
        warnings.append(
            f"the {config.controller.name} controller proposes {learns_from} trials before it uses a "
            f"result, but the search has {config.trials}: give more --trials, or a smaller --batch-size"
        )
    if job.space.size < config.trials:
        warnings.append(
            f"the space has only {counted(job.space.size, 'network')}: the search ends after as many trials"
        )
    counts = job.metric == ACCURACY
    if counts and (points := reading_error(job.ranking_images)) > COARSE_READING:
        warnings.append(
            f"with {job.ranking_images} held-out images, an accuracy has a standard error of up to "
            f"{points:.1f} points, however long a trial trains: hold out more (a larger val folder, or a "
            "larger data.val_fraction)"
        )
    steps = config.recipe.total_steps(len(job.data.train))
    if steps < FEW_STEPS:
        mend = (
            "recipe.epochs or a smaller recipe.batch_size"
            if config.recipe.epochs
            else "recipe.steps"
        )
        warnings.append(
            f"a trial trains for only {counted(steps, 'step')}: set {mend} with --config"
        )
    if absent := _absent_classes(job.data):
        warnings.append(
            f"no training image has {listed(absent)}: no network can learn what is not shown"
        )
    for path, seed in zip(config.warm_start, job.warm_start, strict=True):
        if seed.usage.classes != job.data.classes:
            warnings.append(
                f"{path} was trained on other classes (the same number), so its classifier is of little use"
            )
    return warnings


def _absent_classes(data: Dataset) -> list[str]:
    """Return the classes that no training image has; none if the targets are not in memory."""
    targets = getattr(data.train, "targets", None)
    if targets is None:
        return []
    counts = task_of(data.task).images_with(targets, classes=len(data.classes))
    return [name for name, count in zip(data.classes, counts, strict=True) if not count]


def _apart(prospects: Sequence[Prospect]) -> list[str]:
    """Warn if each target can be met, but no measured network meets all of them."""
    within = [
        {spec.fingerprint for spec, ms in prospect.span.points if ms <= prospect.target_ms}
        for prospect in prospects
    ]
    if not all(within) or set.intersection(*within):
        return []
    return [
        "none of the measured networks meets the targets of all devices at once: raise one of them"
    ]


def first_lesson(config: SearchConfig) -> int | None:
    """Return the number of trials proposed before a result is used; None if the controller never learns."""
    name, options, size = config.controller.name, config.controller.options, config.batch_size
    if name == "uniform":
        return None
    if name == "evolution":
        return _whole_batches(options.get("population_size", 20), size)
    if name == "screened":
        return _whole_batches(options.get("warmup", 10), size)
    if name == "rnn":  # the warm-up sets the baseline, so the next batch is the first to teach
        return _whole_batches(options.get("warmup", 10), size) + size
    return size  # a plug-in's


def _whole_batches(trials: int, size: int) -> int:
    return math.ceil(trials / size) * size


def _guesses(prospect: Prospect) -> str | None:
    """Warn if the estimate extrapolates for some of the measured networks."""
    if not isinstance(prospect.source, PublishedEstimate):
        return None
    specs = [spec for spec, _ in prospect.span.networks]
    strange = [parts for spec in specs if (parts := prospect.source.beyond(spec))]
    if not strange:
        return None
    listed = ", ".join(sorted({part for parts in strange for part in parts})[:SHOWN_PARTS])
    return (
        f"{prospect.typed} extrapolates for {len(strange)} of {len(specs)} networks of the space, as no "
        f"published network has {listed}, ...; the stated error does not hold for them"
    )
