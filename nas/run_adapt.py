"""Run NetAdapt: narrow a trained network to a target latency, and write the results."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from latency import LatencySource, with_anchor
from nas.adapting.baselines import FindBaseline, require_names
from nas.adapting.config import AdaptConfig
from nas.adapting.family import Family
from nas.adapting.final_training import FinalTrainings
from nas.adapting.fine_tuning import AdaptTraining, WithWeights
from nas.adapting.forecast import Workload
from nas.adapting.job import AdaptJob
from nas.adapting.plan import AdaptPlan, adapt_runner
from nas.adapting.ranking import Rank, Ranking
from nas.adapting.results.adapt_result import AdaptResult
from nas.adapting.results.conclusion import conclude
from nas.adapting.results.metadata import begin_metadata
from nas.adapting.teacher import read_teacher
from nas.adapting.uniform_baseline import NAME, UniformBaseline
from nas.adapting.watching import AdaptWatcher
from nas.display.default_watchers import adapt_watcher
from nas.engine.folder import publishing
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_teacher import RunTeacher
from nas.engine.job import Evaluate
from nas.engine.memoized_source import MemoizedSource
from nas.engine.several_gpus import over_gpus
from nas.engine.watching import Silent
from nas.engine.workers import hold, remote_devices, run_jobs
from nas.report.adapt.report import write_adapt_report
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
    """Reduce a network, one width or depth a step, to a target latency (NetAdapt, algorithm 1).

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
        RunStoppedError: All proposals of a step failed, or the device is lost.
    """
    from nas.checkpoints.retrain import for_classes
    from nas.data.images import require_crop

    config = config.for_seed(from_parent=seed.from_parent)
    folders = data.classes
    seed, data = for_classes(seed, data, notify=_log.info)
    _require_size(seed, data)
    require_crop(data, config.evaluation_crop(seed.usage.crop))
    config.schedule.require_parts(config.recipe, config.final_recipe)
    data = replace(data, mean=seed.usage.mean, std=seed.usage.std)
    run = RunFolder(Path(folder))
    rank = None
    if config.keep == "taylor":
        rank = Ranking(seed, data, run, threads=config.schedule.cpus_per_trial)
    finders = _wanted(config, rank) | dict(baselines or {})
    require_names(finders)
    taught = _teacher(config, seed, run, folders, by_recipe=evaluate is None)
    teacher = taught.teacher(data.classes) if taught else None
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        asked = (
            latency
            if isinstance(latency, MemoizedSource)
            else MemoizedSource(with_anchor(latency, seed.spec))
        )
        if evaluate is None:
            training = AdaptTraining(
                data,
                keep=config.rule,
                device=config.schedule.device,
                threads=config.schedule.cpus_per_trial,
                new_statistics=rank is not None,
                teacher=teacher,
                teach_proposals=config.teach_proposals,
            )
            evaluate = over_gpus(training, config.schedule.gpus_per_trial)
        workload = Workload(config, len(data.train), taught.madds if taught else 0)
        with adapt_watcher(watcher, workload, asked) as told:
            accuracy = _begin(run, seed, data, asked, config, taught)
            plan = _plan(seed, accuracy, data, asked, workload, run, finders, told, curve, rank)
            runner = adapt_runner(plan, run)
            run_jobs(
                runner,
                WithWeights(evaluate),
                config.schedule,
                devices=remote_devices([asked]),
            )
            result = conclude(
                plan, runner.logs.finals, run, seed, data, seed_accuracy=accuracy, baselines=finders
            )
            write_adapt_report(run)
        if publish:
            publishing.publish(run, *publishing.OF_ADAPT)
        return result


def _teacher(
    config: AdaptConfig,
    seed: Checkpoint,
    run: RunFolder,
    classes: tuple[str, ...],
    *,
    by_recipe: bool,
) -> RunTeacher | None:
    """Read the teacher, if the settings name one.

    Raises:
        InputError: It cannot be read, or an evaluator of the user's own would ignore it.
    """
    if config.teacher is None:
        return None
    if not by_recipe:
        raise InputError(
            f"teacher {config.teacher.path} has no effect with evaluate, which trains networks itself: "
            "give one of them"
        )
    return read_teacher(config.teacher, seed, run, classes=classes)


def _wanted(config: AdaptConfig, rank: Rank | None) -> dict[str, FindBaseline]:
    """Return the baselines that the settings request."""
    if config.compare == "none":
        return {}
    found = UniformBaseline(config.loop.widths, keep=config.rule, ends=config.ends, rank=rank)
    return {NAME: found}


def _require_size(seed: Checkpoint, data: Dataset) -> None:
    """Check that accuracies will be of the resolution that the network is measured and deployed at."""
    if data.resolution_px != seed.spec.resolution:
        raise InputError(
            f"the images are {data.resolution_px} px wide, the seed is deployed at "
            f"{seed.spec.resolution} px: load the images at that size, or fine-tune the seed at theirs "
            "with nas train --resolution"
        )


def _begin(
    run: RunFolder,
    seed: Checkpoint,
    data: Dataset,
    asked: MemoizedSource,
    config: AdaptConfig,
    teacher: RunTeacher | None,
) -> float:
    """Write the run's metadata and its copy of the teacher; return the seed's held-out accuracy."""
    from nas.checkpoints.scoring import score

    accuracy = begin_metadata(
        run,
        seed.spec,
        latency=asked,
        data=data,
        config=config,
        accuracy=lambda: score(seed, data, ("val",)).accuracy,
        teacher=teacher.metadata() if teacher else None,
    )
    if teacher:
        teacher.keep(run)
    return accuracy


def _plan(
    seed: Checkpoint,
    accuracy: float,
    data: Dataset,
    asked: MemoizedSource,
    workload: Workload,
    run: RunFolder,
    baselines: Mapping[str, FindBaseline],
    watcher: AdaptWatcher,
    curve: bool,
    rank: Rank | None,
) -> AdaptPlan:
    from nas.checkpoints.torch_files import state_bytes

    config, fine_tuning = workload.config, workload.tuning
    shrink = Shrink(seed.spec, config.loop, accuracy=accuracy, latency=asked)
    final = FinalTrainings(
        seed=seed,
        latency=asked,
        folder=run,
        kinds=config.final_trainings(),
        tuning=fine_tuning,
        final={
            kind: recipe.in_steps(len(data.train)) for kind, recipe in config.final_recipes.items()
        },
        run_seed=config.seed,
        baselines=baselines,
        seeds=config.compare_seeds,
        curve=curve,
        teacher_madds=workload.teacher_madds,
        teach_proposals=config.teach_proposals,
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
        rank=rank,
        teacher_madds=workload.teacher_madds if config.teach_proposals else 0,
    )
