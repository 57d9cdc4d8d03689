"""Search a space for the best network on a device, in one call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from controllers import CanMergeAliases, Controller
from latency import LatencySource
from nas.data.chance import chance_of
from nas.display.default_watchers import search_watcher
from nas.engine import publishing
from nas.engine.final_scores import untested
from nas.engine.job import Evaluate, Job
from nas.engine.measuring import measure, require_distinct
from nas.engine.recording import record_metadata
from nas.engine.run_folder import RunFolder
from nas.engine.run_logs import RunLogs
from nas.engine.runner import SearchStoppedError
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.trial import Trial
from nas.engine.watching import PolicyRecord, Several, Watcher
from nas.engine.workers import hold, remote_devices, run_jobs
from nas.report.search.report import write_report
from nas.searching.config import FidelityConfig, FinalsConfig, SearchConfig
from nas.searching.estimates import estimates
from nas.searching.fidelity import Halving, as_it_trains, candidates_worth, first_recipe
from nas.searching.latency_warmup import PowerLaw, can_be_guided, guide
from nas.searching.metadata import TrainingMetadata, search_metadata
from nas.searching.plan import Budget, SearchPlan, search_runner
from nas.searching.proxy_task import ProxyTraining
from nas.searching.results import SearchResult, choose_winner, finalist_weights, write_results
from nas.searching.reward import Reward
from nas.searching.sizes import Sizes, deployed_px
from nas.searching.time_budget import TimeBudget, WallTime
from nas.searching.warm_start import WarmStart
from nas.statistics.noise import fastest_of_the_best, measure_noise
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, InputError, SearchSpace

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset

DEFAULT_TRIALS = 100

UNLIMITED = 1_000_000
"""Number of trials if wall time ends the search."""


def search(
    space: SearchSpace,
    *,
    controller: Controller,
    latency: LatencySource | Sequence[LatencySource],
    data: Dataset,
    final_data: Dataset | None = None,
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
    latency_warmup: Sequence[PowerLaw] = (),
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
        data: Images at the proxy resolution: trials train on `train` and are compared on `val`.
        final_data: The same images at the deployed size: finalists finish training at it and are compared
            on `val`, and the winner is scored on `test`. Defaults to `data`.
        target_ms: Target latency in milliseconds, or a sequence of one per device.
        folder: The run's folder; created if missing.
        recipe: Training recipe of a trial.
        reward: Called with (accuracy in 0..1, latency in ms, target_ms=); with tuples if there are several
            devices. Defaults to ACC*(LAT/T)^-0.15 (MnasNet, eq. 2), multiplied over the devices.
        trials: Number of candidates; 100 by default, at most the number of networks in the space.
        wall_time: Time budget in seconds, in place of a number of trials; leaves time for the finals.
        batch_size: Candidates per controller update.
        finals: How many candidates train longer at the end, and how much longer.
        fidelity: Multi-fidelity settings: train all candidates for a fraction, and only the better in full.
        schedule: Where trials train; in this process by default.
        warm_start: Trained networks of the space; a trial is initialized from the most similar one.
        latency_warmup: A latency law per device. The controller's policy, if it has one, is moved to
            networks within the target before the first trial; a controller that supports it stays within
            (`nas.searching.latency_warmup`).
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
        SearchStoppedError: A whole batch of trials or all finalists failed, or a device is lost.
    """
    began_s = time.monotonic()
    sources, targets_ms = _aimed(latency, target_ms)
    if isinstance(wall_time, int | float):
        wall_time = WallTime(wall_time)
    finals, schedule = finals or FinalsConfig(), schedule or ScheduleConfig(workers=0)
    seconds = wall_time.seconds if wall_time else None
    most = _most_trials(space, trials, seconds, batch_size)
    budget = Budget(most, batch_size, finals.count, finals.repeats, seed, seconds)
    if len(latency_warmup) not in (0, len(sources)):
        raise InputError(
            f"latency_warmup has {len(latency_warmup)} laws for {len(sources)} devices: give one per device"
        )
    reward, recipe = reward or Reward(), recipe or Recipe()
    final_data = _at_deployed_size(space, data, final_data)
    warm = WarmStart.of(space, warm_start, classes=len(data.classes)) if warm_start else None
    by_recipe = evaluate is None
    if by_recipe and fidelity is not None:
        fidelity = as_it_trains(fidelity, recipe, train_images=len(data.train))
    evaluate = evaluate or _proxy(data, final_data, recipe, finals, fidelity, schedule, warm)
    run = RunFolder(Path(folder))
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        devices = [source.device for source in sources]
        guided = bool(latency_warmup) and can_be_guided(controller)
        metadata = search_metadata(
            space,
            devices,
            data,
            targets_ms=targets_ms,
            budget=budget,
            training=TrainingMetadata(
                by_recipe=by_recipe,
                recipe=recipe,
                finals_factor=finals.epochs_factor,
                deployed_part=finals.deployed_part,
                warm_start=warm.metadata() if warm else (),
                fidelity=fidelity,
            ),
            controller=type(controller).__name__,
            reward=reward,
            latency_warmup=latency_warmup if guided else (),
        )
        record_metadata(run, metadata, data)
        if isinstance(controller, CanMergeAliases):
            controller.merge_aliases(lambda tokens: space.encode(space.decode(tokens)))
        if guided:
            guide(controller, space, latency_warmup, targets_ms)
        remote = remote_devices(sources)
        sizes = Sizes(data.resolution_px, final_data.resolution_px)
        time_budget = None
        if wall_time is not None:
            used_s = wall_time.used_s + time.monotonic() - began_s
            time_budget = TimeBudget(
                replace(wall_time, used_s=used_s),
                run / "spent.json",
                final_factor=finals.work(sizes),
                worth=partial(candidates_worth, fidelity),
            )
        settings = _settings(budget, finals, fidelity, targets_ms).with_sizes(sizes)
        left_s = time_budget.left_s if time_budget else None
        with search_watcher(watcher, settings, budget_left_s=left_s) as shown:
            watchers = Several(
                PolicyRecord(run / "policy.jsonl"), *([time_budget] if time_budget else []), shown
            )
            plan = SearchPlan(
                space,
                controller,
                reward=partial(_scored, reward, targets_ms),
                targets_ms=targets_ms,
                budget=budget,
                watcher=watchers,
                time_budget=time_budget,
                fidelity=Halving(fidelity.keep) if fidelity else None,
            )
            runner = search_runner(
                plan, run, partial(measure, sources, hold=hold(remote, schedule))
            )
            with time_budget.kept_up() if time_budget else nullcontext():
                run_jobs(runner, evaluate, schedule, devices=remote)
        result = _conclude(plan, runner.logs, run, data, final_data)
        if publish:
            publishing.publish(run, *publishing.OF_SEARCH)
        return result


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


def _at_deployed_size(space: SearchSpace, data: Dataset, final_data: Dataset | None) -> Dataset:
    """Return the images at the deployed size, normalized like those of the trials.

    Raises:
        InputError: Their size differs from that of the space's networks.
    """
    px = deployed_px(space)
    name = "data" if final_data is None else "final_data"
    given = final_data or data
    if given.resolution_px != px:
        raise InputError(
            f"{name} has images of {given.resolution_px} px, but the space's networks are deployed at "
            f"{px} px: give final_data with images at {px} px "
            f"(nas.data.load.open_source(...).at({px})), or load the space with "
            f"resolution={given.resolution_px}"
        )
    return replace(given, mean=data.mean, std=data.std)


def _proxy(
    data: Dataset,
    final_data: Dataset,
    recipe: Recipe,
    finals: FinalsConfig,
    fidelity: FidelityConfig | None,
    schedule: ScheduleConfig,
    warm: WarmStart | None,
) -> ProxyTraining:
    """Return the evaluator that trains trials with a recipe.

    Raises:
        InputError: There are fewer training images than a batch.
    """
    from nas.data.images import require_batch  # imports torch

    require_batch(data, recipe.batch_size)
    rung = None
    if fidelity is not None:
        rung = first_recipe(recipe, fidelity, train_images=len(data.train))
    return ProxyTraining(
        data,
        final_data,
        recipe,
        final_factor=finals.epochs_factor,
        deployed_part=finals.deployed_part,
        threads=schedule.cpus_per_trial,
        warm_start=warm,
        rung=rung,
    )


def _most_trials(
    space: SearchSpace, trials: int | None, seconds: float | None, batch_size: int
) -> int:
    """Return the maximum number of trials.

    Raises:
        InputError: A number is below 1.
    """
    for name, number in (("trials", trials), ("batch_size", batch_size), ("wall_time", seconds)):
        if number is not None and not number >= 1:
            raise InputError(f"{name} must be at least 1, got {number:g}")
    if trials is None:
        trials = DEFAULT_TRIALS if seconds is None else UNLIMITED
    return min(trials, math.prod(space.arities))


def _aimed(
    latency: LatencySource | Sequence[LatencySource], target_ms: float | Sequence[float]
) -> tuple[tuple[LatencySource, ...], tuple[float, ...]]:
    """Return the latency sources and their targets, one per device.

    Raises:
        InputError: Their numbers differ, a target is not above 0, or two sources are the same device.
    """
    sources = tuple(latency) if isinstance(latency, Sequence) else (latency,)
    targets_ms = tuple(target_ms) if isinstance(target_ms, Sequence) else (target_ms,)
    if not sources or len(sources) != len(targets_ms):
        raise InputError(
            f"there are {len(sources)} devices and {len(targets_ms)} target_ms: give one per device"
        )
    for one_ms in targets_ms:
        if not 0 < one_ms < float("inf"):
            raise InputError(
                f"target_ms must be above 0, got {one_ms:g}: give the target in milliseconds"
            )
    require_distinct(sources)
    return sources, targets_ms


def _scored(
    reward: Callable[..., float],
    targets_ms: Sequence[float],
    accuracy: float,
    every_ms: Sequence[float],
) -> float:
    """Call the reward with numbers for one device, or with tuples for several."""
    if len(targets_ms) == 1:
        return reward(accuracy, every_ms[0], target_ms=targets_ms[0])
    return reward(accuracy, tuple(every_ms), target_ms=tuple(targets_ms))


def _conclude(
    plan: SearchPlan, logs: RunLogs, folder: RunFolder, data: Dataset, final_data: Dataset
) -> SearchResult:
    """Choose the winner, score it on the test images once, and write the files."""
    trials, finals = plan.trials, logs.finals
    winner = choose_winner(finals, targets_ms=plan.targets_ms)
    if winner is None:
        reasons = [trial.error for trial in (*finals, *logs.trials) if trial.error]
        raise SearchStoppedError(f"every training failed, for instance: {reasons[0]}")
    spec = plan.space.decode(winner.tokens)
    noise, fastest = measure_noise(trials, finals), None
    if noise is not None and not noise.differ:
        fastest = plan.space.decode(fastest_of_the_best(trials, noise).tokens)
    test_accuracy, problem = _on_test(folder, winner, spec, final_data)
    result = SearchResult(
        folder=folder,
        winner=winner,
        spec=spec,
        within_target=winner.within(plan.targets_ms),
        targets_ms=plan.targets_ms,
        test_accuracy=test_accuracy,
        test_problem=problem,
        sizes=Sizes(data.resolution_px, final_data.resolution_px),
        trials=tuple(trials),
        finals=tuple(finals),
        noise=noise,
        estimates=estimates(plan.space.arities, trials),
        rungs=tuple(trial for trial in logs.trials if trial.kind == "rung"),
        fastest=fastest,
        chance=chance_of(data.val, classes=len(data.classes)),
    )
    result = write_results(result, final_data)
    write_report(folder)
    return result


def _on_test(
    folder: RunFolder, winner: Trial, spec: ArchSpec, data: Dataset
) -> tuple[float | None, str | None]:
    """Return the winner's accuracy on the test images, or why they can no longer be read."""
    from nas.data.image_files.unreadable import UnreadableError

    try:
        return _test_accuracy(folder, winner, spec, data), None
    except UnreadableError as error:
        return None, untested(error, folder)


def _test_accuracy(folder: RunFolder, winner: Trial, spec: ArchSpec, data: Dataset) -> float | None:
    """Return the winner's top-1 accuracy on the test images; None if its evaluator kept no weights."""
    if not folder.weights_path(winner.key).exists():
        return None
    from nas.training.evaluate import evaluate
    from search_spaces.network import build

    network = build(spec)
    network.load_state_dict(finalist_weights(folder, winner))
    accuracy, _ = evaluate(network, data.test, mean=data.mean, std=data.std)
    return accuracy
