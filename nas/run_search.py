"""Search a space for the best network on a device, in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from controllers import CanMergeAliases, Controller
from latency import LatencySource
from nas.display.default_watchers import search_watcher
from nas.engine.folder import publishing
from nas.engine.folder.recording import record_metadata
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Evaluate, Job
from nas.engine.measuring import measure
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.watching import PolicyRecord, Several, Watcher
from nas.engine.workers import hold, remote_devices, run_jobs
from nas.report.search.report import write_report
from nas.searching.arguments import (
    aimed,
    most_trials,
    require_alone,
    require_laws,
    score_on_devices,
)
from nas.searching.config import FidelityConfig, FinalsConfig, SearchConfig
from nas.searching.defaults import Defaults
from nas.searching.fidelity import Halving, candidates_worth
from nas.searching.from_parent.preparing import FromParent
from nas.searching.from_parent.searched_parent import SearchedParent
from nas.searching.from_scratch.preparing import FromScratch, ScratchOptions
from nas.searching.images import SearchImages
from nas.searching.latency_warmup import PowerLaw, can_be_guided, guide
from nas.searching.plan import Budget, SearchPlan, search_runner
from nas.searching.results.conclusion import conclude
from nas.searching.results.metadata import search_metadata
from nas.searching.results.search_result import SearchResult
from nas.searching.run_policy import KeptPolicy, RunPolicy, origin_of
from nas.searching.teacher_cost import Slowdown, slowed_by
from nas.searching.time_budget import TimeBudget, WallTime
from nas.searching.training_method import TrainingMethod
from nas.tasks import task_of
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import SearchSpace

LEAST_OF_TARGET = 0.7
"""Fraction of the target below which sub-networks are not proposed; most are far faster than needed."""

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset


def search(
    space: SearchSpace,
    *,
    controller: Controller,
    latency: LatencySource | Sequence[LatencySource],
    data: Dataset,
    final_data: Dataset | Mapping[int, Dataset] | None = None,
    target_ms: float | Sequence[float],
    folder: Path | str,
    recipe: Recipe | None = None,
    reward: Callable[..., float] | None = None,
    trials: int | None = None,
    wall_time: WallTime | float | None = None,
    batch_size: int = 10,
    finals: FinalsConfig | None = None,
    fidelity: FidelityConfig | None = None,
    schedule: ScheduleConfig | None = None,
    warm_start: Sequence[Checkpoint] = (),
    weights_from: Checkpoint | None = None,
    policy: RunPolicy | None = None,
    latency_warmup: Sequence[PowerLaw] = (),
    teacher: TeacherConfig | None = None,
    parent: SearchedParent | None = None,
    seed: int = 0,
    evaluate: Evaluate[Job] | None = None,
    watcher: Watcher | None = None,
    publish: bool = False,
) -> SearchResult:
    """Search `space` for the most accurate network within `target_ms` (MnasNet, figure 1).

    Every argument may be your own object of the same protocol. If `folder` holds an interrupted run with
    the same arguments, it is resumed from its log.

    Args:
        space: Decodes token sequences to networks.
        controller: A new controller; proposes token sequences and learns from their rewards.
        latency: Latency source of the target device, or a sequence of one per device.
        data: Images at the proxy resolution: trials train on `train` and are compared on `val`. In a space
            that searches resolution: those of the largest.
        final_data: The same images at the deployed size: finalists finish training at it and are compared
            on `val`, and the winner is scored on `test`. Defaults to `data`. In a space that searches
            resolution: those at each resolution.
        target_ms: Target latency in milliseconds, or a sequence of one per device.
        folder: The run's folder; created if missing.
        recipe: Training recipe of a trial. For this and the next defaults see `nas.searching.defaults`.
        reward: Called with (accuracy in 0..1, latency in ms, target_ms=); with tuples if there are several
            devices. Defaults to ACC*(LAT/T)^-0.15 (MnasNet, eq. 2), multiplied over the devices; with a
            parent to ACC within the target and ACC*(LAT/T)^-1 above it.
        trials: Number of candidates; 100 by default, 60 with a parent, at most the number of networks in
            the space.
        wall_time: Time budget in seconds, in place of a number of trials; leaves time for the finals.
        batch_size: Candidates per controller update.
        finals: How many candidates train longer at the end, and how much longer.
        fidelity: Multi-fidelity settings: train all candidates for a fraction, and only the better in full.
        schedule: Where trials train; in this process by default.
        warm_start: Trained networks of the space; a trial is initialized from the most similar one.
        weights_from: A trained network outside of the space, of any classes; trials and finalists begin
            with its weights where they overlap (`nas.searching.from_scratch.overlap`), on images that are
            normalized for it.
        policy: The policy of an earlier search of the same space that the controller begins with
            (`RunPolicy.read`).
        latency_warmup: A latency law per device. The controller's policy, if it has one, is moved to
            networks within the target before the first trial; a controller that supports it stays within
            (`nas.searching.latency_warmup`).
        teacher: A trained network of the same classes that finalists learn from beside the labels. The
            folder keeps a copy, which a resumed run uses.
        parent: The trained network of an `ElasticSpace`: trials and finalists inherit its weights and learn
            from it, and finalists are compared with what else it could be shrunk to.
        seed: Seeds everything except the controller.
        evaluate: Trains a job in place of `recipe` on `data`; the job's `kind` determines for how long.
        watcher: Is notified of events; None takes the default (`nas.display.default_watchers`), and
            `Silent()` shows nothing.
        publish: Whether to copy `best.yaml` and `seed.pt` next to the folder at the end, replacing those of
            an earlier run, as the command does.

    Returns:
        The winner and all trials, as saved in `folder`.

    Raises:
        InputError: An argument is invalid, or another process holds the folder.
        RunStoppedError: A whole batch of trials or all finalists failed, or a device is lost.
    """
    began_s = time.monotonic()
    sources, targets_ms = aimed(latency, target_ms)
    usual = Defaults.from_scratch(data.task) if parent is None else Defaults.from_parent(data.task)
    finals, schedule = usual.completed(finals), schedule or ScheduleConfig(workers=0)
    limit = WallTime(wall_time) if isinstance(wall_time, int | float) else wall_time
    seconds = limit.seconds if limit else None
    trials = usual.trials if trials is None and limit is None else trials
    most = most_trials(space, trials, seconds=seconds, batch_size=batch_size)
    budget = Budget(most, batch_size, finals.count, finals.repeats, seed, seconds)
    require_laws(latency_warmup, sources)
    _prepare(controller, space, policy)
    reward, recipe = reward or usual.reward, recipe or usual.recipe
    images = SearchImages.of(space, data, final_data)
    run = RunFolder(Path(folder))
    finals = finals.as_it_trains(recipe, train_images=len(data.train))
    options = ScratchOptions(warm_start, weights_from, teacher, evaluate)
    trained: TrainingMethod
    if parent is None:
        trained = FromScratch.of(
            space,
            images,
            recipe,
            options,
            finals=finals,
            fidelity=fidelity,
            schedule=schedule,
            run=run,
        )
    else:
        require_alone(**vars(options))
        trained = FromParent(
            parent, space, images, recipe, finals, fidelity, schedule, run, seed=seed
        )
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        laws = latency_warmup if can_be_guided(controller) else ()
        metadata = search_metadata(
            space,
            [source.device for source in sources],
            data,
            targets_ms=targets_ms,
            budget=budget,
            training=trained.metadata,
            controller=type(controller).__name__,
            reward=reward,
            policy=policy.metadata() if policy else None,
            latency_warmup=laws,
            teacher=trained.teacher.metadata() if trained.teacher else None,
            parent=trained.parent_metadata,
        )
        record_metadata(run, metadata, data)
        if trained.teacher:
            trained.teacher.keep(run)
        if laws:
            least = LEAST_OF_TARGET if parent else 0.0
            guide(controller, space, laws, targets_ms, least=least)
        fidelity = trained.metadata.fidelity
        settings = _settings(budget, finals, fidelity, targets_ms).with_sizes(images.sizes)
        time_budget = _time_budget(limit, settings, run, began_s=began_s) if limit else None
        left_s = time_budget.left_s if time_budget else None
        slower = slowed_by(trained.teacher, finals, images.sizes)
        metric = task_of(data.task).metric.name
        devices = [source.device.name for source in sources]
        origin = origin_of(run, space, data.name, zip(devices, targets_ms, strict=True))
        records = (PolicyRecord(run / "policy.jsonl"), KeptPolicy(run, origin))
        with (
            _watched(watcher, records, settings, left_s, slower, metric=metric) as watchers,
            time_budget.kept_up() if time_budget else nullcontext(),
        ):
            remote = remote_devices(sources)
            # The cluster, through which other runs are kept off a device, is not there yet.
            ready = trained.prepare(partial(measure, sources), targets_ms, watchers)
            measured = partial(measure, sources, hold=hold(remote, schedule))
            plan = SearchPlan(
                space,
                controller,
                reward=partial(score_on_devices, reward, targets_ms),
                targets_ms=targets_ms,
                budget=budget,
                watcher=watchers,
                time_budget=time_budget,
                fidelity=Halving(fidelity.keep) if fidelity else None,
                final_length=finals.work(images.sizes),
                slowdown=slower,
                rivals=ready.rivals,
                curve=ready.curve,
            )
            runner = search_runner(plan, run, measured)
            run_jobs(runner, ready.evaluate, schedule, devices=remote)
        result = conclude(plan, runner.logs, run, ready.images)
        write_report(run)
        if publish:
            publishing.publish(run, *publishing.OF_SEARCH)
        return result


def _prepare(controller: Controller, space: SearchSpace, policy: RunPolicy | None) -> None:
    """Tell a new controller which networks are equal, and begin it with a policy, if one is given.

    Raises:
        InputError: It cannot begin with that policy.
    """
    if isinstance(controller, CanMergeAliases):
        controller.merge_aliases(lambda tokens: space.encode(space.decode(tokens)))
    if policy is not None:
        policy.begin(controller, space)


def _settings(
    budget: Budget,
    finals: FinalsConfig,
    fidelity: FidelityConfig | None,
    targets_ms: Sequence[float],
) -> SearchConfig:
    """Build the part of a search's settings that its view needs."""
    return SearchConfig.model_construct(  # unchecked, as the device names are placeholders
        device={f"device {place}": ms for place, ms in enumerate(targets_ms)},
        trials=budget.trials,
        budget_s=budget.wall_time_s,
        batch_size=budget.batch_size,
        finals=finals,
        fidelity=fidelity,
    )


def _time_budget(
    limit: WallTime, settings: SearchConfig, run: RunFolder, *, began_s: float
) -> TimeBudget:
    """Start the clock of a search that wall time ends; `began_s` is when it was called."""
    used_s = limit.used_s + time.monotonic() - began_s
    return TimeBudget(
        replace(limit, used_s=used_s),
        run / "spent.json",
        final_factor=settings.finals.work(settings.sizes),
        worth=partial(candidates_worth, settings.fidelity),
    )


@contextmanager
def _watched(
    watcher: Watcher | None,
    records: Sequence[Watcher],
    settings: SearchConfig,
    left_s: float | None,
    slower: Slowdown,
    *,
    metric: str,
) -> Iterator[Watcher]:
    """Yield the watchers of the run: the records of its policy, and the view."""
    with search_watcher(
        watcher, settings, budget_left_s=left_s, slowdown=slower, metric=metric
    ) as shown:
        yield Several(*records, shown)
