"""The end of a search: choose the winner, score it on the test images once, and write the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.data.chance import chance_of
from nas.engine.final_scores import untested
from nas.engine.folder.run_folder import RunFolder
from nas.engine.run_logs import RunLogs
from nas.engine.runner import RunStoppedError
from nas.engine.trial import Trial
from nas.searching.plan import SearchPlan
from nas.searching.results.estimates import estimates
from nas.searching.results.search_result import (
    SearchResult,
    choose_winner,
    finalist_weights,
    write_results,
)
from nas.searching.sizes import Sizes
from nas.statistics.noise import fastest_of_the_best, measure_noise
from search_spaces import ArchSpec

if TYPE_CHECKING:
    from nas.data.images import Dataset


def conclude(
    plan: SearchPlan, logs: RunLogs, folder: RunFolder, data: Dataset, final_data: Dataset
) -> SearchResult:
    """Choose the winner, score it and write the result files.

    Args:
        plan: The finished plan.
        logs: Its trials.
        folder: The run's folder.
        data: Images at the trials' resolution.
        final_data: Images at the deployed resolution.

    Raises:
        RunStoppedError: All finalists failed.
    """
    trials, finals = plan.trials, logs.finals
    winner = choose_winner(finals, targets_ms=plan.targets_ms)
    if winner is None:
        reasons = [trial.error for trial in (*finals, *logs.trials) if trial.error]
        raise RunStoppedError(f"every training failed, for instance: {reasons[0]}")
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
    return write_results(result, final_data)


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
