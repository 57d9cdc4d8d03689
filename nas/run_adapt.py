"""NetAdapt, as one call: a seed narrowed to a latency, and everything that is kept of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from latency import LatencySource, beside
from nas.adapting.baselines import OURS, FindRival, read_rivals, require_names
from nas.adapting.comparison import comparisons
from nas.adapting.config import AdaptConfig
from nas.adapting.family import Family
from nas.adapting.final_training import LastTrainings
from nas.adapting.fine_tuning import AdaptTraining, WithWeights
from nas.adapting.job import AdaptJob, in_steps
from nas.adapting.metadata import adapt_facts, begin_facts
from nas.adapting.plan import AdaptPlan, adapt_runner
from nas.adapting.results import AdaptResult, write_results
from nas.adapting.uniform_baseline import NAME, UniformRival
from nas.adapting.watching import AdaptWatcher
from nas.display.default_watchers import adapt_watcher
from nas.engine import publishing
from nas.engine.job import Evaluate
from nas.engine.memoized_source import Remembering
from nas.engine.run_folder import RunFolder
from nas.engine.test_scores import name_of, read_tested, tested, untested
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from nas.engine.workers import hold, remote_devices, run_jobs
from nas.report.adapt.report import write_adapt_report
from netadapt import Settings, Widths
from netadapt.shrink import Shrink
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Seed
    from nas.data.images import Dataset

_log = logging.getLogger(__name__)


def adapt(
    seed: Seed,
    *,
    data: Dataset,
    latency: LatencySource,
    config: AdaptConfig,
    folder: Path | str,
    watcher: AdaptWatcher | Silent | None = None,
    evaluate: Evaluate[AdaptJob] | None = None,
    rivals: Mapping[str, FindRival] | None = None,
    curve: bool = True,
    publish: bool = False,
) -> AdaptResult:
    """Narrow a seed, one width group a step, until its latency is the target's (NetAdapt, algorithm 1).

    An interrupted run of the same arguments in `folder` is resumed where its log ends. Classes that are
    matched by looser spelling, or in order, are logged at level INFO.

    Args:
        seed: Network, weights, and how its images were prepared.
        data: Images of the seed's classes: proposals train on `train` and are compared on `val`; `test`
            is for the last network.
        latency: Tells a network's latency on the target device.
        config: Everything else.
        folder: The run's folder, made if it is not there.
        watcher: Is told what happens; None takes the default (`nas.display.default_watchers`), and
            `Silent()` shows nothing.
        evaluate: Trains a job in place of `config`'s recipes on `data`.
        rivals: By name, what finds a network to set beside the last one at its latency, in addition to
            `config.compare`: each is trained alike. See `nas.adapting.baselines`.
        curve: Whether rivals are set beside networks on the way too.
        publish: Whether to copy `adapted.yaml` and `adapted.pt` beside the folder at the end, over those of
            an earlier run, as the command does.

    Raises:
        InputError: Something given cannot be used, or another process holds the folder.
        SearchStoppedError: All proposals of a step failed, or the device is lost.
    """
    from nas.checkpoints.retrain import for_classes

    seed, data = for_classes(seed, data, tell=_log.info)
    _require_size(seed, data)
    data = replace(data, mean=seed.usage.mean, std=seed.usage.std)
    challengers = _wanted(config) | dict(rivals or {})
    require_names(challengers)
    run = RunFolder(Path(folder))
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        asked = (
            latency if isinstance(latency, Remembering) else Remembering(beside(latency, seed.spec))
        )
        if evaluate is None:
            evaluate = AdaptTraining(data, keep=config.keep, threads=config.schedule.cpus_per_trial)
        with adapt_watcher(watcher, config, asked, train_images=len(data.train)) as told:
            accuracy = _begin(run, seed, data, asked, config)
            plan = _plan(seed, accuracy, data, asked, config, run, challengers, told, curve)
            runner = adapt_runner(plan, run)
            run_jobs(
                runner,
                WithWeights(evaluate),
                config.schedule,
                devices=remote_devices([asked]),
            )
            result = _conclude(plan, runner.logs.finals, run, accuracy, seed, data, challengers)
        if publish:
            publishing.publish(run, *publishing.OF_ADAPT)
        return result


def _wanted(config: AdaptConfig) -> dict[str, FindRival]:
    """What the settings ask to compare with."""
    if config.compare == "none":
        return {}
    widths = Widths(config.divisor, config.floor)
    return {NAME: UniformRival(widths, keep=config.keep, ends=config.ends)}


def _require_size(seed: Seed, data: Dataset) -> None:
    """Every accuracy is to be of the size that latency is measured at and the network is deployed at."""
    if data.resolution_px != seed.spec.resolution:
        raise InputError(
            f"the images are {data.resolution_px} px wide, the seed is deployed at "
            f"{seed.spec.resolution} px: load them at its size, or fine-tune it at theirs with nas train "
            "--resolution"
        )


def _begin(
    run: RunFolder, seed: Seed, data: Dataset, asked: Remembering, config: AdaptConfig
) -> float:
    """Write down what the run does; returns the seed's accuracy on held-out images."""
    from nas.checkpoints.scoring import score

    facts = adapt_facts(seed.spec, asked.device, data, config)
    return begin_facts(
        run, facts, seed.spec, asked, lambda: score(seed, data, ("val",)).accuracy, data
    )


def _plan(
    seed: Seed,
    accuracy: float,
    data: Dataset,
    asked: Remembering,
    config: AdaptConfig,
    run: RunFolder,
    rivals: Mapping[str, FindRival],
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
    final = LastTrainings(
        seed=seed,
        latency=asked,
        folder=run,
        kinds=config.finals(),
        tuning=fine_tuning,
        final={
            kind: in_steps(recipe, len(data.train)) for kind, recipe in config.final_recipes.items()
        },
        run_seed=config.seed,
        rivals=rivals,
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
    seed: Seed,
    data: Dataset,
    rivals: Mapping[str, FindRival],
) -> AdaptResult:
    """Score the networks on the test images, each once; write the files."""
    from nas.checkpoints.checkpoint import Seed
    from nas.checkpoints.scoring import score
    from nas.checkpoints.torch_files import state_of
    from nas.data.image_files.unreadable import UnreadableError

    shrink, asked = plan.shrink, plan.latency
    ours = [trial for trial in trained if trial.kind in OURS]
    finals = sorted(ours, key=lambda t: -(t.accuracy or 0.0))
    best = finals[0] if finals and finals[0].ok else None
    if best and plan.trials and (plan.trials[-1].accuracy or 0.0) > (best.accuracy or 0.0):
        best = None  # the last training has made the network worse
    weights = plan.weights if best is None else folder.weights_path(best.key).read_bytes()
    usage = replace(seed.usage, trained_px=data.resolution_px)
    adapted = Seed(shrink.current.spec, state_of(weights), usage, seed.device)
    found = read_rivals(folder)

    def on_test(trial: Trial) -> float:
        plan.watcher.testing(trial)
        rival = found.get(trial.kind.rpartition("-")[0])
        spec = rival.spec if rival else shrink.current.spec
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
        rivals=tuple(found[name] for name in rivals if name in found),
        comparisons=tuple(comparisons(trained, list(rivals), known)),
        tested=known,
        test_accuracy=test_accuracy,
    )
    result = write_results(result, adapted, data.val)
    write_adapt_report(folder)
    return result
