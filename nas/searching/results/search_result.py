"""The result of a finished search, and how its winner is chosen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import RIVAL, Kind
from nas.engine.trial import Trial
from nas.formatting import ACCURACY
from nas.searching.from_parent.rivals import Rival
from nas.searching.results.estimates import Estimate
from nas.searching.results.table import frame, network_file
from nas.searching.results.verdict import Verdict
from nas.searching.sizes import Sizes
from nas.statistics.noise import Noise, fastest_of_the_best
from nas.tasks import CLASSIFY
from search_spaces import ArchSpec

if TYPE_CHECKING:
    import pandas as pd

    from nas.checkpoints.scoring import SplitScore
    from nas.data.images import Dataset


class Trained(NamedTuple):
    """A network that was trained to be deployed: a finalist or a rival.

    Attributes:
        trial: Its final training.
        spec: Its network.
        images: The images, as it sees them.
    """

    trial: Trial
    spec: ArchSpec
    images: Dataset


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        folder: The run's folder.
        winner: The best finalist, with its accuracy after the longer training.
        spec: Its network, at the deployed resolution.
        within_target: Whether it is within the target on every device; if not, no finalist was.
        targets_ms: The latency budget on each device.
        test_accuracy: The metric of the winner on the test images, 0..1, which are read at the end.
        trials: The trials of full length, in order.
        finals: The finalists' longer trainings, and the repeats.
        noise: Noise of accuracies; None if nothing was repeated.
        sizes: Trials' accuracies are of the proxy resolution. Latencies, finalists' accuracies, test
            accuracy and files are of the deployed one.
        estimates: Estimated accuracy of each trial, by index (`nas.searching.results.estimates`).
        rungs: The candidates' first parts, with multi-fidelity; not comparable with trials.
        fastest: The fastest network with an accuracy within the noise of the best; None if networks differ
            by more than the noise, or nothing was repeated.
        onnx: Held-out accuracy of `best.onnx` in ONNX Runtime; None if there is no such file.
        test_problem: Why there is no test accuracy, if the test images could not be read.
        chance: Held-out accuracy of a network that has learned nothing, 0..1; None if unknown.
        task: Name of what was learned.
        metric: Name of the metric that accuracies are.
        rivals: What the finalists were compared with, in a search from a parent.
        verdict: How the best finalist compares with the best rival; None without rivals.
        runner_up: The other one of these two, which is not the winner.
        trained: All networks that were trained to be deployed, if their weights were kept.
    """

    folder: RunFolder
    winner: Trial
    spec: ArchSpec
    within_target: bool
    targets_ms: tuple[float, ...]
    test_accuracy: float | None
    trials: Sequence[Trial]
    finals: Sequence[Trial]
    noise: Noise | None
    sizes: Sizes
    estimates: Mapping[int, Estimate] = field(default_factory=dict)
    rungs: Sequence[Trial] = ()
    fastest: ArchSpec | None = None
    onnx: SplitScore | None = None
    test_problem: str | None = None
    chance: float | None = None
    task: str = CLASSIFY
    metric: str = ACCURACY
    rivals: Sequence[Rival] = ()
    verdict: Verdict | None = None
    runner_up: Trained | None = None
    trained: Sequence[Trained] = ()

    @property
    def px(self) -> int:
        """Side of the winner's input in pixels."""
        return self.spec.resolution

    @property
    def winner_name(self) -> str:
        """What the winner is called: a trial, or a rival's name."""
        return name_of(self.winner, self.rivals)

    def frame(self) -> pd.DataFrame:
        """Return the trials as a table, one row each; `pareto` marks the front, `winner` the winner."""
        return frame(
            self.trials,
            sizes=self.sizes,
            finals=self.finals,
            winner=self.winner,
            rivals=self.rivals,
            checkpoints={one.trial.key: network_file(one.trial) for one in self.trained},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the winner's figures as plain data: the contents of `result.json`."""
        winner = self.winner
        assert winner.latency is not None
        noise = None
        if self.noise is not None:
            fast = fastest_of_the_best(self.trials, self.noise)
            noise = {
                "between_networks_points": round(self.noise.between_networks, 3),
                "between_seeds_points": round(self.noise.between_seeds, 3),
                "pairs": self.noise.pairs,
                "networks_differ": self.noise.differ,
                "fastest_of_the_best": fast.index,
            }
        learned = {} if self.task == CLASSIFY else {"task": self.task, "metric": self.metric}
        return {
            **learned,
            "trial": winner.index,
            **({"kind": winner.kind} if winner.kind != "final" else {}),
            "fingerprint": winner.fingerprint,
            "px": self.px,
            "proxy_px": self.px if self.sizes.searched else self.sizes.proxy_px,
            "accuracy": winner.accuracy,
            "test_accuracy": self.test_accuracy,
            "onnx": self.onnx and {"accuracy": self.onnx.accuracy, "images": self.onnx.images},
            **({"test_problem": self.test_problem} if self.test_problem else {}),
            "chance": self.chance,
            "reward": winner.reward,
            "target_ms": self.targets_ms[0],
            "within_target": self.within_target,
            "latency": winner.latency.to_dict(),
            **self._others(),
            "params": winner.params,
            "madds": winner.madds,
            "trials": len(self.trials),
            "failed": sum(not trial.ok for trial in self.trials),
            **({"candidates": len(self.rungs)} if self.rungs else {}),
            "noise": noise,
            **({"verdict": self.verdict.to_dict()} if self.verdict else {}),
        }

    def _others(self) -> dict[str, Any]:
        """Return the figures of further devices, in order."""
        if len(self.winner.latencies) < 2:
            return {}
        return {
            "other_targets_ms": list(self.targets_ms[1:]),
            "other_latencies": [latency.to_dict() for latency in self.winner.latencies[1:]],
        }


def name_of(trial: Trial, rivals: Sequence[Rival]) -> str:
    """Return what a final training is called: `trial 12`, or the name of a rival."""
    return f"trial {trial.index}" if trial.kind != RIVAL else rivals[trial.index].name


def choose_winner(
    finals: Sequence[Trial],
    *,
    targets_ms: Sequence[float],
    kinds: Collection[Kind] = ("final", RIVAL),
) -> Trial | None:
    """Return the most accurate of the final trainings within every target; else that of best reward.

    A finalist that is only as accurate as a rival has not beaten it. None if every training failed.

    Args:
        finals: The final trainings.
        targets_ms: The target on each device.
        kinds: Kinds of training to choose among.
    """
    good = [trial for trial in finals if trial.kind in kinds and trial.ok]
    within = [trial for trial in good if trial.within(targets_ms)]

    def rank(trial: Trial) -> tuple[float, bool, float, int]:
        worth = trial.accuracy or 0.0 if within else trial.reward
        return worth, trial.kind == RIVAL, -trial.overall_ms, -trial.index

    return max(within or good, key=rank, default=None)
