"""The end of a search: choose the winner, score it on the test images once, and write the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.engine.final_scores import untested
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import DataMetadata
from nas.engine.job import RIVAL, Key
from nas.engine.run_logs import RunLogs
from nas.engine.runner import RunStoppedError
from nas.engine.trial import Trial
from nas.searching.images import SearchImages
from nas.searching.plan import SearchPlan
from nas.searching.results.estimates import estimates
from nas.searching.results.search_result import SearchResult, Trained, choose_winner, name_of
from nas.searching.results.verdict import Score, Verdict
from nas.searching.results.writing import finalist_weights, write_results
from nas.statistics.noise import fastest_of_the_best, measure_noise
from nas.tasks import task_of

if TYPE_CHECKING:
    from nas.data.images import Dataset
    from nas.tasks.task import Evidence


def conclude(
    plan: SearchPlan, logs: RunLogs, folder: RunFolder, images: SearchImages
) -> SearchResult:
    """Choose the winner, score it and write the result files.

    Args:
        plan: The finished plan.
        logs: Its trials.
        folder: The run's folder.
        images: The images that its networks are trained on.

    Raises:
        RunStoppedError: All finalists failed.
    """
    trials, finals = plan.trials, logs.finals
    winner = choose_winner(finals, targets_ms=plan.targets_ms)
    if winner is None:
        reasons = [trial.error for trial in (*finals, *logs.trials) if trial.error]
        raise RunStoppedError(f"every training failed, for instance: {reasons[0]}")
    noise, fastest = measure_noise(trials, finals), None
    if noise is not None and not noise.differ:
        fastest = plan.space.decode(fastest_of_the_best(trials, noise).tokens)
    test = TestScores(folder, plan, images)
    test_accuracy, problem = test.of(winner)
    data = images.proxy
    verdict = None if problem else _verdict(plan, finals, test, winner, metric=_metric(data))
    result = SearchResult(
        folder=folder,
        winner=winner,
        spec=plan.spec_of(winner),
        within_target=winner.within(plan.targets_ms),
        targets_ms=plan.targets_ms,
        test_accuracy=test_accuracy,
        test_problem=problem,
        sizes=images.sizes,
        trials=tuple(trials),
        finals=tuple(finals),
        noise=noise,
        estimates=estimates(plan.space.arities, trials),
        rungs=tuple(trial for trial in logs.trials if trial.kind == "rung"),
        fastest=fastest,
        chance=task_of(data.task).chance(data.val, classes=len(data.classes)),
        task=data.task,
        metric=task_of(data.task).metric.name,
        rivals=plan.rivals,
        verdict=verdict,
        runner_up=_runner_up(plan, finals, winner, images) if verdict else None,
        trained=[
            _trained(plan, trial, images)
            for trial in finals
            if trial.kind in ("final", RIVAL) and folder.weights_path(trial.key).exists()
        ],
    )
    return write_results(result, images_of(plan, winner, images))


def images_of(plan: SearchPlan, trial: Trial, images: SearchImages) -> Dataset:
    """Return the images as the network of a final training sees them."""
    data = images.of_spec(plan.spec_of(trial))
    own = plan.rivals[trial.index].normalization if trial.kind == RIVAL else None
    return data if own is None else replace(data, mean=own[0], std=own[1])


def _metric(data: Dataset) -> str | None:
    """Return the name of the metric, None for accuracy, as files have it."""
    return DataMetadata.of(data).metric


def _verdict(
    plan: SearchPlan,
    finals: Sequence[Trial],
    test: TestScores,
    winner: Trial,
    *,
    metric: str | None,
) -> Verdict | None:
    """Compare the best finalist with the best rival; None without both, or if one is over the target."""
    best = [
        choose_winner(finals, targets_ms=plan.targets_ms, kinds=(kind,))
        for kind in ("final", RIVAL)
    ]
    finalist, rival = best
    if finalist is None or rival is None:
        return None
    if finalist.within(plan.targets_ms) != rival.within(plan.targets_ms):
        return None  # only one of them may be shipped
    if any(test.of(trial)[1] for trial in (finalist, rival)):
        return None  # images at another size that cannot be read any more
    ours, theirs = (test.evidence(trial) for trial in (finalist, rival))
    if ours is None or theirs is None:
        return None
    difference = ours.minus(theirs)
    return Verdict(
        finalist=_score(plan, finalist, ours),
        rival=_score(plan, rival, theirs),
        points=difference.points,
        low=difference.low,
        high=difference.high,
        images=len(ours),
        ships="rival" if winner.kind == RIVAL else "finalist",
        metric=metric,
    )


def _runner_up(
    plan: SearchPlan, finals: Sequence[Trial], winner: Trial, images: SearchImages
) -> Trained | None:
    """Return the best rival if a finalist has won, and else the best finalist."""
    kind = "final" if winner.kind == RIVAL else RIVAL
    other = choose_winner(finals, targets_ms=plan.targets_ms, kinds=(kind,))
    return None if other is None else _trained(plan, other, images)


def _trained(plan: SearchPlan, trial: Trial, images: SearchImages) -> Trained:
    return Trained(trial, plan.spec_of(trial), images_of(plan, trial, images))


def _score(plan: SearchPlan, trial: Trial, evidence: Evidence) -> Score:
    return Score(
        name=name_of(trial, plan.rivals),
        accuracy=evidence.score().accuracy,
        latencies_ms=trial.latencies_ms,
        px=plan.spec_of(trial).resolution,
    )


class TestScores:
    """What final trainings' networks do on the test images, each read once.

    Args:
        folder: The run's folder, with the weights.
        plan: The finished plan.
        images: The images.
    """

    def __init__(self, folder: RunFolder, plan: SearchPlan, images: SearchImages) -> None:
        self._folder, self._plan, self._images = folder, plan, images
        self._evidence: dict[Key, Evidence] = {}

    def of(self, trial: Trial) -> tuple[float | None, str | None]:
        """Return a network's test accuracy, or why the images can no longer be read.

        The accuracy is None as well if the network's evaluator kept no weights.
        """
        from nas.data.image_files.unreadable import UnreadableError

        try:
            found = self.evidence(trial)
        except UnreadableError as error:
            return None, untested(error, self._folder)
        return (None if found is None else found.score().accuracy), None

    def evidence(self, trial: Trial) -> Evidence | None:
        """Return what a network does on the test images; None without weights."""
        if trial.key in self._evidence:
            return self._evidence[trial.key]
        if not self._folder.weights_path(trial.key).exists():
            return None
        from nas.training.evaluate import evidence
        from search_spaces.network import build

        spec = self._plan.spec_of(trial)
        network, data = build(spec), images_of(self._plan, trial, self._images)
        network.load_state_dict(finalist_weights(self._folder, trial))
        found = evidence(network, data.test, mean=data.mean, std=data.std, task=data.task)
        self._evidence[trial.key] = found
        return found
