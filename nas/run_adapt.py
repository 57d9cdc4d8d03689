"""Run NetAdapt: narrow a trained network to a target latency, and write the results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from latency import LatencySource, with_anchor
from nas.adapting.baselines import FindBaseline, read_baselines, require_names
from nas.adapting.comparison import comparisons
from nas.adapting.config import AdaptConfig
from nas.adapting.family import Family
from nas.adapting.final_training import FinalTrainings
from nas.adapting.fine_tuning import AdaptTraining, WithWeights
from nas.adapting.job import AdaptJob, in_steps
from nas.adapting.kinds import OWN_KINDS, baseline_of
from nas.adapting.metadata import begin_metadata
from nas.adapting.plan import AdaptPlan, adapt_runner
from nas.adapting.results import AdaptResult, write_results
from nas.adapting.uniform_baseline import NAME, UniformBaseline
from nas.adapting.watching import AdaptWatcher
from nas.display.default_watchers import adapt_watcher
from nas.engine import publishing
from nas.engine.final_scores import name_of, read_tested, tested, untested
from nas.engine.job import Evaluate
from nas.engine.memoized_source import MemoizedSource
from nas.engine.run_folder import RunFolder
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from nas.engine.workers import hold, remote_devices, run_jobs
from nas.report.adapt.report import write_adapt_report
from netadapt import Settings, Widths
from netadapt.shrink import Shrink
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset

_log = logging.getLogger(__name__)


def adapt(
    seed: Checkpoint,
    *,
    data: Dataset,
    latency: LatencySource,
    config: AdaptConfig,
    folder: Path | str,
    watcher: AdaptWatcher | Silent | None = None,
    evaluate: Evaluate[AdaptJob] | None = None,
    baselines: Mapping[str, FindBaseline] | None = None,
    curve: bool = True,
    publish: bool = False,
) -> AdaptResult:
    """Narrow a network, one width group a step, to a target latency (NetAdapt, algorithm 1).

    If `folder` holds an interrupted run with the same arguments, it is resumed where its log ends. Inexact
    matches of class names are logged at level INFO.

    Args:
        seed: The checkpoint that NetAdapt starts from.
        data: Images of the checkpoint's classes. Proposals train on `train` and are compared on `val`;
            `test` is for the final networks.
        latency: Returns a network's latency on the target device.
        config: All settings.
        folder: The run's folder, created if missing.
        watcher: Is notified of the run's events; None chooses one (`nas.display.default_watchers`),
            `Silent()` shows nothing.
        evaluate: Trains a job, instead of the recipes in `config` on `data`.
        baselines: Functions that find further networks of the same latency, by name, to be trained alike
            and compared: see `nas.adapting.baselines`.
        curve: Whether to compare intermediate networks too.
        publish: Whether to copy `adapted.yaml` and `adapted.pt` next to the folder at the end, replacing
            those of an earlier run, as the command does.

    Raises:
        InputError: An argument is invalid, or another process uses the folder.
        SearchStoppedError: All proposals of a step failed, or the device is lost.
    """
    from nas.checkpoints.retrain import for_classes

    seed, data = for_classes(seed, data, tell=_log.info)
    _require_size(seed, data)
    data = replace(data, mean=seed.usage.mean, std=seed.usage.std)
    finders = _wanted(config) | dict(baselines or {})
    require_names(finders)
    run = RunFolder(Path(folder))
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        asked = (
            latency
            if isinstance(latency, MemoizedSource)
            else MemoizedSource(with_anchor(latency, seed.spec))
        )
        if evaluate is None:
            evaluate = AdaptTraining(data, keep=config.keep, threads=config.schedule.cpus_per_trial)
        with adapt_watcher(watcher, config, asked, train_images=len(data.train)) as told:
            accuracy = _begin(run, seed, data, asked, config)
            plan = _plan(seed, accuracy, data, asked, config, run, finders, told, curve)
            runner = adapt_runner(plan, run)
            run_jobs(
                runner,
                WithWeights(evaluate),
                config.schedule,
                devices=remote_devices([asked]),
            )
            result = _conclude(plan, runner.logs.finals, run, accuracy, seed, data, finders)
        if publish:
            publishing.publish(run, *publishing.OF_ADAPT)
        return result


def _wanted(config: AdaptConfig) -> dict[str, FindBaseline]:
    """Return the baselines that the settings request."""
    if config.compare == "none":
        return {}
    widths = Widths(config.divisor, config.floor)
    return {NAME: UniformBaseline(widths, keep=config.keep, ends=config.ends)}


def _require_size(seed: Checkpoint, data: Dataset) -> None:
    """Check that accuracies will be of the resolution that the network is measured and deployed at."""
    if data.resolution_px != seed.spec.resolution:
        raise InputError(
            f"the images are {data.resolution_px} px wide, the seed is deployed at "
            f"{seed.spec.resolution} px: load the images at that size, or fine-tune the seed at theirs "
            "with nas train --resolution"
        )


def _begin(
    run: RunFolder, seed: Checkpoint, data: Dataset, asked: MemoizedSource, config: AdaptConfig
) -> float:
    """Write the run's metadata; return the seed's held-out accuracy."""
    from nas.checkpoints.scoring import score

    return begin_metadata(
        run,
        seed.spec,
        latency=asked,
        data=data,
        config=config,
        accuracy=lambda: score(seed, data, ("val",)).accuracy,
    )


def _plan(
    seed: Checkpoint,
    accuracy: float,
    data: Dataset,
    asked: MemoizedSource,
    config: AdaptConfig,
    run: RunFolder,
    baselines: Mapping[str, FindBaseline],
    watcher: AdaptWatcher,
    curve: bool,
) -> AdaptPlan:
    from nas.checkpoints.torch_files import state_bytes

    fine_tuning = in_steps(config.recipe, len(data.train))
    settings = Settings(
        target_ms=config.target_ms,
        delta=config.delta,
        decay=config.decay,
        widths=Widths(config.divisor, config.floor),
        metric=config.metric,
        include_stem_and_head=config.ends,
        tolerance=config.tolerance,
    )
    shrink = Shrink(seed.spec, settings, accuracy=accuracy, latency=asked)
    final = FinalTrainings(
        seed=seed,
        latency=asked,
        folder=run,
        kinds=config.final_trainings(),
        tuning=fine_tuning,
        final={
            kind: in_steps(recipe, len(data.train)) for kind, recipe in config.final_recipes.items()
        },
        run_seed=config.seed,
        baselines=baselines,
        seeds=config.compare_seeds,
        curve=curve,
    )
    return AdaptPlan(
        shrink,
        latency=asked,
        weights=state_bytes(seed.weights),
        family=Family(run),
        run_seed=config.seed,
        recipe=fine_tuning,
        final=final,
        watcher=watcher,
        hold=hold(remote_devices([asked]), config.schedule),
    )


def _conclude(
    plan: AdaptPlan,
    trained: Sequence[Trial],
    folder: RunFolder,
    seed_accuracy: float,
    seed: Checkpoint,
    data: Dataset,
    baselines: Mapping[str, FindBaseline],
) -> AdaptResult:
    """Evaluate the final networks on the test images, once each, and write the results."""
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.checkpoints.scoring import score
    from nas.checkpoints.torch_files import state_of
    from nas.data.image_files.unreadable import UnreadableError

    shrink, asked = plan.shrink, plan.latency
    ours = [trial for trial in trained if trial.kind in OWN_KINDS]
    finals = sorted(ours, key=lambda t: -(t.accuracy or 0.0))
    best = finals[0] if finals and finals[0].ok else None
    if best and plan.trials and (plan.trials[-1].accuracy or 0.0) > (best.accuracy or 0.0):
        best = None  # the final training made the network worse
    weights = plan.weights if best is None else folder.weights_path(best.key).read_bytes()
    usage = replace(seed.usage, trained_px=data.resolution_px)
    adapted = Checkpoint(shrink.current.spec, state_of(weights), usage, seed.device)
    found = read_baselines(folder)

    def on_test(trial: Trial) -> float:
        plan.watcher.testing(trial)
        baseline = found.get(baseline_of(trial.kind))
        spec = baseline.spec if baseline else shrink.current.spec
        state = state_of(folder.weights_path(trial.key).read_bytes())
        return score(replace(seed, spec=spec, weights=state), data, ("test",)).accuracy

    kept = [trial for trial in trained if folder.weights_path(trial.key).is_file()]
    test_accuracy: float | None = None
    try:
        known = tested(folder, kept, on_test)
        test_accuracy = (
            score(adapted, data, ("test",)).accuracy if best is None else known[name_of(best)]
        )
    except UnreadableError as error:
        untested(error, folder)
        known = read_tested(folder)
    result = AdaptResult(
        folder=folder,
        seed_spec=seed.spec,
        spec=shrink.current.spec,
        latency=asked.reading(shrink.current.spec),
        seed_latency=asked.reading(seed.spec),
        seed_accuracy=seed_accuracy,
        reached=shrink.reached,
        family=tuple(plan.trials),
        finals=tuple(finals),
        baselines=tuple(found[name] for name in baselines if name in found),
        comparisons=tuple(comparisons(trained, list(baselines), known)),
        tested=known,
        test_accuracy=test_accuracy,
    )
    result = write_results(result, adapted, data.val)
    write_adapt_report(folder)
    return result
