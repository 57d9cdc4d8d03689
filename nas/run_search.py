"""The main job, as one call: search a space for the network that is best on a device."""

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
from nas.engine.job import Evaluate, Job
from nas.engine.measuring import measure, require_distinct
from nas.engine.run_folder import RunFolder
from nas.engine.run_logs import RunLogs
from nas.engine.run_metadata import record_metadata
from nas.engine.runner import SearchStoppedError
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.test_scores import untested
from nas.engine.trial import Trial
from nas.engine.watching import PolicyRecord, Several, Watcher
from nas.engine.workers import hold, remote_devices, run_jobs
from nas.report.search.report import write_report
from nas.searching.config import FidelityConfig, FinalsConfig, SearchConfig
from nas.searching.estimates import estimates
from nas.searching.fidelity import Halving, as_it_trains, candidates_worth, first_recipe
from nas.searching.latency_warmup import PowerLaw, can_be_guided, guide
from nas.searching.metadata import search_metadata
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
"""Trials where wall time ends a search."""


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

    Every argument may be the caller's own object of the same protocol. An interrupted run of the same
    arguments in `folder` is resumed where its log ends.

    Args:
        space: Decodes token sequences to networks.
        controller: Fresh; it proposes token sequences and learns from their rewards.
        latency: Tells a network's latency on the target device; or one source for each of several devices.
        data: Images: trials train on `train` and are compared on `val`, at whatever size they have.
        final_data: The same images at the size of the space's networks, at which they are deployed:
            finalists end their training at it, are compared on `val` and the winner tested on `test`.
            `data` where that is its size.
        target_ms: Latency budget in milliseconds; of each device, in the same order, if there are several.
        folder: The run's folder, made if it is not there.
        recipe: How a trial trains.
        reward: Called with (accuracy in 0..1, latency in ms, target_ms=), of several devices with tuples;
            ACC*(LAT/T)^-0.15 by default (MnasNet, eq. 2), of several the product over them.
        trials: Candidates to train; 100 by default, and no more than the space has networks.
        wall_time: Seconds in place of a number of trials: as many are trained as leave time for the finals.
        batch_size: Candidates a controller update.
        finals: How many candidates train longer at the end, and how much longer.
        fidelity: Lets all candidates train for a first part, and only the better ones in full.
        schedule: Where trials train; in this process by default.
        warm_start: Trained networks of the space; a trial begins with the weights of the one most like it.
        latency_warmup: How latency is guessed on each device. By it the controller's policy, if it has one,
            is moved to networks within the target before the first trial, and a controller that can keeps
            within it (`nas.searching.latency_warmup`).
        seed: Seeds everything except the controller.
        evaluate: Trains a job in place of `recipe` on `data`; a job's `kind` says for how long.
        watcher: Is told what happens; None takes the default (`nas.display.default_watchers`), and
            `Silent()` shows nothing.
        publish: Whether to copy `best.yaml` and `seed.pt` beside the folder at the end, over those of an
            earlier run, as the command does.

    Returns:
        The winner and all trials; the same stands in `folder`.

    Raises:
        InputError: Something given cannot be used, or another process holds the folder.
        SearchStoppedError: A whole batch of trials failed, or all finalists did, or a device is lost.
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
            f"latency_warmup has {len(latency_warmup)} laws for {len(sources)} devices: give one for each"
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
        metadata = search_metadata(space, devices, data, targets_ms=targets_ms, budget=budget) | {
            "training": {
                "by_recipe": by_recipe,
                "recipe": recipe.model_dump(),
                "finals_factor": finals.epochs_factor,
                "deployed_part": finals.deployed_part,
                "warm_start": warm.metadata() if warm else [],
                "fidelity": fidelity and fidelity.model_dump(),
            },
            "controller": type(controller).__name__,
            **({"reward": reward.model_dump()} if isinstance(reward, Reward) else {}),
            "latency_warmup": [law.model_dump() for law in latency_warmup if guided],
        }
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
    """A search's settings, as far as its view needs them: what is to come, and how many devices."""
    return SearchConfig.model_construct(  # unchecked: these are no devices that anybody could open
        device={f"device {place}": ms for place, ms in enumerate(targets_ms)},
        trials=budget.trials,
        budget_s=budget.wall_time_s,
        batch_size=budget.batch_size,
        finals=finals,
        fidelity=fidelity,
    )


def _at_deployed_size(space: SearchSpace, data: Dataset, final_data: Dataset | None) -> Dataset:
    """The images at the deployed size, normalised as those that trials train on.

    Raises:
        InputError: They are of another size than the space's networks.
    """
    px = deployed_px(space)
    name = "data" if final_data is None else "final_data"
    given = final_data or data
    if given.resolution_px != px:
        raise InputError(
            f"{name} has images of {given.resolution_px} px and the space's networks are deployed at "
            f"{px} px: give final_data with the images at {px} px "
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
    """How trials are trained by a recipe.

    Raises:
        InputError: There are fewer images than a batch.
    """
    from nas.data.images import require_batch  # torch

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
    """Trials after which the search ends in any case.

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
    """Each device's source, and its target."""
    sources = tuple(latency) if isinstance(latency, Sequence) else (latency,)
    targets_ms = tuple(target_ms) if isinstance(target_ms, Sequence) else (target_ms,)
    if not sources or len(sources) != len(targets_ms):
        raise InputError(
            f"there are {len(sources)} devices and {len(targets_ms)} target_ms: give one for each"
        )
    for one_ms in targets_ms:
        if not 0 < one_ms < float("inf"):
            raise InputError(
                f"target_ms must be above 0, got {one_ms:g}: give the budget in milliseconds"
            )
    require_distinct(sources)
    return sources, targets_ms


def _scored(
    reward: Callable[..., float],
    targets_ms: Sequence[float],
    accuracy: float,
    every_ms: Sequence[float],
) -> float:
    """The reward of one device's figures, or of several devices'."""
    if len(targets_ms) == 1:
        return reward(accuracy, every_ms[0], target_ms=targets_ms[0])
    return reward(accuracy, tuple(every_ms), target_ms=tuple(targets_ms))


def _conclude(
    plan: SearchPlan, logs: RunLogs, folder: RunFolder, data: Dataset, final_data: Dataset
) -> SearchResult:
    """Choose the winner, score it on the test images once, write the files."""
    trials, finals = plan.trials, logs.finals
    winner = choose_winner(finals, targets_ms=plan.targets_ms)
    if winner is None:
        reasons = [trial.error for trial in (*finals, *logs.trials) if trial.error]
        raise SearchStoppedError(f"nothing trained to the end: {reasons[0]}")
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
    """The winner's accuracy on the test images; where these cannot be read any more, why."""
    from nas.data.image_files.unreadable import UnreadableError

    try:
        return _test_accuracy(folder, winner, spec, data), None
    except UnreadableError as error:
        return None, untested(error, folder)


def _test_accuracy(folder: RunFolder, winner: Trial, spec: ArchSpec, data: Dataset) -> float | None:
    """Top-1 of the winner on the test images; None where its evaluator kept no weights."""
    if not folder.weights_path(winner.key).exists():
        return None
    from nas.training.evaluate import evaluate
    from search_spaces.network import build

    network = build(spec)
    network.load_state_dict(finalist_weights(folder, winner))
    accuracy, _ = evaluate(network, data.test, mean=data.mean, std=data.std)
    return accuracy
