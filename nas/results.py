"""From a finished run to its results: the winner, the Pareto front, the files."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.noise import Noise, fastest_of_the_best
from nas.runs import RunFolder, write_whole
from nas.trial import Trial
from search_spaces import ArchSpec
from search_spaces.spec import to_yaml

if TYPE_CHECKING:
    import pandas as pd

    from nas.training.images import Dataset


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        folder: Where everything is kept.
        winner: The best finalist, with its accuracy after the longer training.
        spec: Its network, at the deploy resolution.
        within_target: Whether its latency is; if not, no finalist's was.
        target_ms: The latency budget.
        test_accuracy: Top-1 of the winner on the test images, 0..1; they are used for this alone.
        trials: All trials of the search, in order.
        finals: The finalists' longer trainings, and the repeats.
        noise: How much accuracies differ by chance; None if nothing was repeated.
    """

    folder: RunFolder
    winner: Trial
    spec: ArchSpec
    within_target: bool
    target_ms: float
    test_accuracy: float | None
    trials: Sequence[Trial]
    finals: Sequence[Trial]
    noise: Noise | None

    def frame(self) -> pd.DataFrame:
        """The trials as a table, one row each; `pareto` marks the front."""
        return frame(self.trials)

    def to_dict(self) -> dict[str, Any]:
        """The winner's figures as plain data: `result.json`."""
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
        return {
            "trial": winner.index,
            "fingerprint": winner.fingerprint,
            "accuracy": winner.accuracy,
            "test_accuracy": self.test_accuracy,
            "reward": winner.reward,
            "target_ms": self.target_ms,
            "within_target": self.within_target,
            "latency": winner.latency.to_dict(),
            "params": winner.params,
            "madds": winner.madds,
            "trials": len(self.trials),
            "failed": sum(not trial.ok for trial in self.trials),
            "noise": noise,
        }


def choose_winner(finals: Sequence[Trial], *, target_ms: float) -> Trial | None:
    """The most accurate finalist within the target; if none is, the one of best reward.

    None if every finalist failed.
    """
    good = [trial for trial in finals if trial.kind == "final" and trial.ok]
    within = [trial for trial in good if trial.latency_ms <= target_ms]
    if within:
        return max(within, key=lambda t: (t.accuracy or 0.0, -t.latency_ms, -t.index))
    return max(good, key=lambda t: (t.reward, -t.index), default=None)


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats in both latency and accuracy, fastest first."""
    front: list[Trial] = []
    good = [trial for trial in trials if trial.ok]
    for trial in sorted(good, key=lambda t: (t.latency_ms, -(t.accuracy or 0.0), t.index)):
        if not front or (trial.accuracy or 0.0) > (front[-1].accuracy or 0.0):
            front.append(trial)
    return front


def frame(trials: Sequence[Trial]) -> pd.DataFrame:
    """Trials as a table, one row each."""
    import pandas as pd

    front = {trial.index for trial in pareto_front(trials)}
    rows = [
        {
            "trial": t.index,
            "batch": t.batch,
            "accuracy": t.accuracy,
            "latency_ms": t.latency.median_ms if t.latency else None,
            "latency_low_ms": t.latency.ci95_ms[0] if t.latency else None,
            "latency_high_ms": t.latency.ci95_ms[1] if t.latency else None,
            "reward": t.reward,
            "params": t.params,
            "madds": t.madds,
            "pareto": t.index in front,
            "fingerprint": t.fingerprint,
            "tokens": " ".join(map(str, t.tokens)),
            "error": t.error,
        }
        for t in trials
    ]
    return pd.DataFrame(rows)


def write_results(result: SearchResult, dataset: Dataset | None) -> None:
    """Write the run's result files; `seed.pt` and `best.onnx` where weights were kept."""
    folder = result.folder
    table = result.frame().sort_values(["pareto", "latency_ms"], ascending=[False, True])
    write_whole(folder / "pareto.csv", table.to_csv(index=False))
    write_whole(folder / "best.yaml", to_yaml(result.spec))
    published = ["best.yaml"]
    if dataset is not None and folder.weights_path(result.winner.index).exists():
        _write_network(result, dataset)
        published.append("seed.pt")
    write_whole(folder / "result.json", json.dumps(result.to_dict(), indent=2) + "\n")
    folder.publish(*published)


def read_result(folder: RunFolder) -> dict[str, Any] | None:
    """The winner's figures of a finished run, as `SearchResult.to_dict` gave them; None before."""
    path = folder / "result.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _write_network(result: SearchResult, dataset: Dataset) -> None:
    from nas.export import checked_onnx
    from nas.seeds import Seed, Usage, seed_bytes

    usage = Usage(dataset.classes, dataset.resolution_px, dataset.mean, dataset.std)
    seed = Seed(result.spec, finalist_weights(result.folder, result.winner), usage)
    write_whole(result.folder / "seed.pt", seed_bytes(seed))
    write_whole(result.folder / "best.onnx", checked_onnx(seed.network()))


def finalist_weights(folder: RunFolder, trial: Trial) -> dict[str, Any]:
    """The state dict that a finalist's training left."""
    import torch

    kept = io.BytesIO(folder.weights_path(trial.index).read_bytes())
    weights: dict[str, Any] = torch.load(kept, weights_only=True)
    return weights
