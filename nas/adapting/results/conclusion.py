"""The end of a NetAdapt run: score the final networks on the test images, and write the files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.adapting.baselines import read_baselines
from nas.adapting.kinds import OWN_KINDS, baseline_of
from nas.adapting.plan import AdaptPlan
from nas.adapting.results.adapt_result import AdaptResult, write_results
from nas.adapting.results.comparison import comparisons
from nas.adapting.results.paired import paired, read_paired
from nas.engine.final_scores import name_of, read_tested, tested, untested
from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.tasks.task import Evidence


def conclude(
    plan: AdaptPlan,
    trained: Sequence[Trial],
    folder: RunFolder,
    seed: Checkpoint,
    data: Dataset,
    *,
    seed_accuracy: float,
    baselines: Collection[str],
) -> AdaptResult:
    """Evaluate the final networks on the test images, once each, and write the result files.

    Args:
        plan: The finished plan.
        trained: The final trainings.
        folder: The run's folder.
        seed: The checkpoint that the run started from.
        data: Images at the deployed resolution.
        seed_accuracy: Held-out accuracy of the seed, 0..1.
        baselines: Names of the baselines.
    """
    from nas.checkpoints.scoring import evidence_on, score
    from nas.checkpoints.torch_files import state_of
    from nas.data.image_files.unreadable import UnreadableError

    shrink, asked = plan.shrink, plan.latency
    ours = [trial for trial in trained if trial.kind in OWN_KINDS]
    finals = sorted(ours, key=lambda t: -(t.accuracy or 0.0))
    best = _best(finals, plan)
    weights = plan.weights if best is None else folder.weights_path(best.key).read_bytes()
    usage = replace(seed.usage, trained_px=data.resolution_px, crop=data.preparation.crop)
    adapted = replace(seed, spec=shrink.current.spec, weights=state_of(weights), usage=usage)
    found = read_baselines(folder)

    on_test: dict[str, Evidence] = {}

    def evidence(trial: Trial) -> Evidence:
        """Return what a network does on the test images, once for its score and the comparison."""
        if name_of(trial) in on_test:
            return on_test[name_of(trial)]
        plan.watcher.testing(trial)
        baseline = found.get(baseline_of(trial.kind))
        spec = baseline.spec if baseline else shrink.current.spec
        state = state_of(folder.weights_path(trial.key).read_bytes())
        network = replace(seed, spec=spec, weights=state)
        return on_test.setdefault(name_of(trial), evidence_on(network, data, ("test",)))

    kept = [trial for trial in trained if folder.weights_path(trial.key).is_file()]
    test_accuracy: float | None = None
    try:
        known = tested(folder, kept, lambda trial: evidence(trial).score().accuracy)
        differences = paired(folder, kept, evidence)
        test_accuracy = (
            score(adapted, data, ("test",)).accuracy if best is None else known[name_of(best)]
        )
    except UnreadableError as error:
        untested(error, folder)
        known, differences = read_tested(folder), read_paired(folder)
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
        comparisons=tuple(comparisons(trained, list(baselines), known, differences)),
        tested=known,
        test_accuracy=test_accuracy,
    )
    return write_results(result, adapted, data.val)


def _best(finals: Sequence[Trial], plan: AdaptPlan) -> Trial | None:
    """Return the best final training; None if all failed, or made the last step's network worse."""
    if not finals or not finals[0].ok:
        return None
    last = (plan.trials[-1].accuracy or 0.0) if plan.trials else 0.0
    return None if last > (finals[0].accuracy or 0.0) else finals[0]
