"""Results of a finished search: the winner, the Pareto front, the files."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import le
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Key, Kind
from nas.engine.trial import Trial
from nas.formatting import four_digits, percent, reading, three_digits
from nas.searching.config import load_config
from nas.searching.from_parent.rivals import Rival
from nas.searching.from_parent.tuning import PARENT
from nas.searching.results.estimates import Estimate
from nas.searching.results.stored_result import read_result
from nas.searching.results.verdict import FINALIST_FILE, RIVAL_FILE, Verdict
from nas.searching.sizes import Sizes
from nas.statistics.noise import Noise, fastest_of_the_best
from search_spaces import ArchSpec
from search_spaces.spec import to_yaml

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from nas.checkpoints.checkpoint import Checkpoint
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
        test_accuracy: Top-1 accuracy of the winner on the test images, 0..1, which are used only for this.
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
        return {
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
    return f"trial {trial.index}" if trial.kind != "rival" else rivals[trial.index].name


def choose_winner(
    finals: Sequence[Trial],
    *,
    targets_ms: Sequence[float],
    kinds: Collection[Kind] = ("final", "rival"),
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
        return worth, trial.kind == "rival", -trial.overall_ms, -trial.index

    return max(within or good, key=rank, default=None)


def pareto_front(trials: Sequence[Trial], *, device: int | None = None) -> list[Trial]:
    """Return the trials that no other dominates in accuracy and every latency, fastest first.

    Args:
        trials: The search's trials.
        device: Index of the only device to consider; all by default.
    """

    def costs(trial: Trial) -> tuple[float, ...]:
        times = trial.latencies_ms if device is None else trial.latencies_ms[device : device + 1]
        return (*times, -(trial.accuracy or 0.0))

    front: list[Trial] = []
    good = [trial for trial in trials if trial.ok]
    for trial in sorted(
        good, key=lambda t: (costs(t), t.index)
    ):  # later ones dominate none of these
        if not any(all(map(le, costs(other), costs(trial))) for other in front):
            front.append(trial)
    return front


def network_file(trial: Trial) -> str:
    """Return the path of a network's checkpoint within the run's folder."""
    return f"networks/{'trial' if trial.kind == 'final' else trial.kind}-{trial.index}.pt"


def frame(
    trials: Sequence[Trial],
    *,
    sizes: Sizes,
    finals: Sequence[Trial] = (),
    winner: Trial | None = None,
    rivals: Sequence[Rival] = (),
    checkpoints: Mapping[Key, str] | None = None,
) -> pd.DataFrame:
    """Return the networks as a table, one row each: the trials, then the rivals.

    Latency on a second device is `latency_2_ms`, and so on. `pareto` marks the trials that no other
    dominates, and `deploy` the networks trained for longer that no other of these dominates.

    Args:
        trials: The search's trials.
        sizes: `accuracy` is of the proxy resolution, latencies and `longer_accuracy` of the deployed one.
        finals: The finalists' trainings and the rivals', which give `longer_accuracy`.
        winner: The network that `winner` marks.
        rivals: The networks that finalists are compared with.
        checkpoints: File of each network that was trained for longer.
    """
    import pandas as pd

    long = {trial.key: trial for trial in finals if trial.kind in ("final", "rival")}
    short = {trial.index: trial.accuracy for trial in finals if trial.kind == "rival-trial"}
    front = {trial.index for trial in pareto_front(trials)}
    deploy = {trial.key for trial in pareto_front(list(long.values()))}
    devices = max([1, *(len(trial.latencies) for trial in trials)])

    def longer(key: Key) -> dict[str, object]:
        return {
            "longer_accuracy": long[key].accuracy if key in long else None,
            "deploy": key in deploy,
            "winner": winner is not None and key == winner.key,
            "checkpoint": (checkpoints or {}).get(key),
        }

    def row(t: Trial, key: Key) -> dict[str, object]:
        return {
            "trial": t.index,
            "name": None,
            "batch": t.batch,
            "accuracy": t.accuracy,
            "accuracy_px": t.px or sizes.proxy_px,
            **_columns(t, devices),
            "latency_px": sizes.latency_px(t.px),
            "reward": t.reward,
            "params": t.params,
            "madds": t.madds,
            "pareto": t.index in front,
            **longer(key),
            "fingerprint": t.fingerprint,
            "tokens": " ".join(map(str, t.tokens)),
            "error": t.error,
        }

    rows = [row(trial, ("final", trial.index)) for trial in trials]
    for trial in (one for one in long.values() if one.kind == "rival"):
        own = {"trial": None, "name": rivals[trial.index].name, "pareto": False}
        rows.append(row(trial, trial.key) | own | {"accuracy": short.get(trial.index)})
    table = pd.DataFrame(rows)
    return table.astype({"trial": "Int64"}) if rows else table


def _columns(trial: Trial, devices: int) -> dict[str, float | None]:
    """Return a trial's latencies with their intervals, None if it was not measured."""
    columns: dict[str, float | None] = {}
    for device in range(devices):
        name = "latency" if device == 0 else f"latency_{device + 1}"
        latency = trial.latencies[device] if trial.latencies else None
        columns[f"{name}_ms"] = latency.median_ms if latency else None
        columns[f"{name}_low_ms"] = latency.ci95_ms[0] if latency else None
        columns[f"{name}_high_ms"] = latency.ci95_ms[1] if latency else None
    return columns


def write_results(result: SearchResult, data: Dataset) -> SearchResult:
    """Write the run's result files; `seed.pt` and `best.onnx` if weights were kept.

    Args:
        result: Without the ONNX file's accuracy.
        data: Images at the deployed resolution.

    Returns:
        The result with the ONNX file's accuracy.
    """
    folder = result.folder
    if folder.weights_path(result.winner.key).exists():
        result = replace(result, onnx=_write_network(result, data))
    for one in result.trained:
        _write_checkpoint(folder / network_file(one.trial), result, one)
    table = result.frame().sort_values(["pareto", "latency_ms"], ascending=[False, True])
    write_whole(folder / "pareto.csv", table.to_csv(index=False, float_format=four_digits))
    write_whole(folder / "best.yaml", best_yaml(result))
    if result.fastest is not None:
        write_whole(folder / "fastest.yaml", to_yaml(result.fastest))
    before = read_result(folder)
    looks = {"test_looks": 1 + (before.test_looks if before else 0)}
    document = result.to_dict() | (looks if result.test_accuracy is not None else {})
    write_whole(folder / "result.json", json.dumps(document, indent=2) + "\n")
    return result


def best_yaml(result: SearchResult) -> str:
    """Return the winner as YAML, with its figures in comments."""
    winner = result.winner
    px = result.px
    accuracy = f"{percent(winner.accuracy or 0.0)} on held-out images of {px} px"
    lines = [f"{result.winner_name}: {accuracy}"]
    for latency, target_ms in zip(winner.latencies, result.targets_ms, strict=True):
        lines.append(
            f"{reading(latency)} at {px} px, target {three_digits(target_ms)} ms: {latency.device}"
        )
    # A device's name comes from its vendor, and may have several lines.
    comments = ["# " + " ".join(line.split()) + "\n" for line in lines]
    return "".join(comments) + to_yaml(result.spec)


def _write_network(result: SearchResult, data: Dataset) -> SplitScore | None:
    """Write the winner's checkpoint and ONNX file; return the latter's accuracy."""
    from nas.checkpoints.checkpoint import checkpoint_bytes
    from nas.export.answers import keep_and_score_onnx

    weights = finalist_weights(result.folder, result.winner)
    seed = _checkpoint(result, result.spec, weights, data)
    write_whole(result.folder / "seed.pt", checkpoint_bytes(seed))
    if result.runner_up is not None:
        name = RIVAL_FILE if result.runner_up.trial.kind == "rival" else FINALIST_FILE
        _write_checkpoint(result.folder / name, result, result.runner_up)
    return keep_and_score_onnx(result.folder / "best.onnx", seed, data.val)


def _write_checkpoint(path: Path, result: SearchResult, one: Trained) -> None:
    """Write a network that was trained to be deployed as a checkpoint."""
    from nas.checkpoints.checkpoint import checkpoint_bytes

    weights = finalist_weights(result.folder, one.trial)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, checkpoint_bytes(_checkpoint(result, one.spec, weights, one.images)))


def _checkpoint(
    result: SearchResult, spec: ArchSpec, weights: dict[str, Any], images: Dataset
) -> Checkpoint:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.checkpoints.usage import Usage

    return Checkpoint(
        spec,
        weights,
        Usage.of(images),
        _device(result.folder),
        from_parent=(result.folder / f"{PARENT}.pt").is_file(),
    )


def _device(folder: RunFolder) -> str:
    """Return the first device of the run as the user named it; empty for runs from Python."""
    path = folder / "config.yaml"
    return next(iter(load_config(path).targets)) if path.is_file() else ""


def finalist_weights(folder: RunFolder, trial: Trial) -> dict[str, Any]:
    """Return the state dict of a finalist's training."""
    import torch

    kept = io.BytesIO(folder.weights_path(trial.key).read_bytes())
    weights: dict[str, Any] = torch.load(kept, weights_only=True)
    return weights
