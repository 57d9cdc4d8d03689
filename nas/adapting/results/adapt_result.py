"""Results of a finished NetAdapt run, and the files they are written to."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from latency import Latency
from nas.adapting.baselines import Baseline
from nas.adapting.results.comparison import Comparison
from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial
from nas.export.evaluation.examined import forget_examined
from search_spaces import ArchSpec, count
from search_spaces.spec import to_yaml

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.checkpoints.scoring import SplitScore
    from nas.data.images import Split


@dataclass(frozen=True)
class AdaptResult:
    """Result of a NetAdapt run.

    Attributes:
        folder: The run's folder.
        seed_spec: The network that the run started from.
        spec: The adapted network.
        latency: The adapted network's latency.
        seed_latency: The seed's latency.
        seed_accuracy: The seed's held-out accuracy, 0..1.
        reached: Whether the target was reached.
        family: The chosen proposal of every step.
        finals: Final trainings of the adapted network, best first.
        baselines: The networks that it is compared with.
        comparisons: The comparisons with them.
        tested: Accuracies of the final trainings on the test images, 0..1: see `nas.engine.final_scores`.
        test_accuracy: Test accuracy of the best final training, 0..1; without final trainings, of the last
            step's network. None if the test images could not be read.
        onnx: Held-out accuracy of `adapted.onnx` in ONNX Runtime; None if there is no such file.
    """

    folder: RunFolder
    seed_spec: ArchSpec
    spec: ArchSpec
    latency: Latency
    seed_latency: Latency
    seed_accuracy: float
    reached: bool
    family: tuple[Trial, ...]
    finals: tuple[Trial, ...]
    baselines: tuple[Baseline, ...]
    comparisons: tuple[Comparison, ...]
    tested: dict[str, float]
    test_accuracy: float | None
    onnx: SplitScore | None = None

    @property
    def px(self) -> int:
        """The deployed resolution, at which all accuracies and latencies are given."""
        return self.spec.resolution

    @property
    def trajectory(self) -> list[tuple[int, float, float, int, int]]:
        """Step, accuracy, latency in ms, parameters and MAdds of each network; step 0 is the seed."""
        cost = count(self.seed_spec)
        seed = (0, self.seed_accuracy, self.seed_latency.median_ms, cost.params, cost.madds)
        steps = enumerate(self.family, start=1)
        return [
            seed,
            *((step, t.accuracy or 0.0, t.latency_ms, t.params, t.madds) for step, t in steps),
        ]

    @property
    def better_step(self) -> Trial | None:
        """The last step, if its network has a higher held-out accuracy than every final training."""
        trained = [trial.accuracy or 0.0 for trial in self.finals]
        if not (trained and self.family) or max(trained) >= (self.family[-1].accuracy or 0.0):
            return None
        return self.family[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the contents of `result.json`."""
        return {
            "fingerprint": self.spec.fingerprint,
            "px": self.px,
            "latency": self.latency.to_dict(),
            "seed_latency": self.seed_latency.to_dict(),
            "seed_accuracy": self.seed_accuracy,
            "reached": self.reached,
            "steps": len(self.family),
            "family": [
                {
                    "accuracy": t.accuracy,
                    "latency_ms": t.latency_ms,
                    "params": t.params,
                    "madds": t.madds,
                }
                for t in self.family
            ],
            "finals": [
                {"kind": t.kind, "index": t.index, "accuracy": t.accuracy, "error": t.error}
                for t in self.finals
            ],
            "rivals": [
                {"name": r.name, "about": r.about, "latency": r.latency.to_dict()}
                for r in self.baselines
            ],
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "tested": self.tested,
            "test_accuracy": self.test_accuracy,
            "onnx": self.onnx and {"accuracy": self.onnx.accuracy, "images": self.onnx.images},
        }


def write_results(result: AdaptResult, adapted: Checkpoint, held_out: Split) -> AdaptResult:
    """Write the run's result files.

    Args:
        result: Without the ONNX file's accuracy.
        adapted: The adapted network with its best weights.
        held_out: Held-out images at its resolution.

    Returns:
        The result with the ONNX file's accuracy.
    """
    from nas.checkpoints.checkpoint import checkpoint_bytes
    from nas.export.evaluation.answers import keep_and_score_onnx

    folder = result.folder
    forget_examined(folder)
    write_whole(folder / "adapted.yaml", to_yaml(result.spec))
    write_whole(folder / "adapted.pt", checkpoint_bytes(adapted))
    onnx = keep_and_score_onnx(folder / "adapted.onnx", adapted, held_out)
    result = replace(result, onnx=onnx)
    lines = ["step,accuracy,latency_ms,params,madds,px"]
    lines += [",".join(map(str, (*row, result.px))) for row in result.trajectory]
    write_whole(folder / "family.csv", "\n".join(lines) + "\n")
    write_whole(folder / "result.json", json.dumps(result.to_dict(), indent=2) + "\n")
    return result
