"""Write the files of a finished search."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import RIVAL
from nas.engine.trial import Trial
from nas.export.evaluation.examined import forget_examined
from nas.formatting import figure, four_digits, reading, three_digits
from nas.searching.config import load_config
from nas.searching.from_parent.tuning import PARENT
from nas.searching.results.search_result import SearchResult, Trained
from nas.searching.results.stored_result import read_result
from nas.searching.results.table import network_file
from nas.searching.results.verdict import FINALIST_FILE, RIVAL_FILE
from search_spaces import ArchSpec
from search_spaces.spec import to_yaml

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.checkpoints.scoring import SplitScore
    from nas.data.images import Dataset


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
    accuracy = f"{figure(winner.accuracy or 0.0, result.metric)} on held-out images of {px} px"
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
    from nas.export.evaluation.answers import keep_and_score_onnx

    forget_examined(result.folder)
    weights = finalist_weights(result.folder, result.winner)
    seed = _checkpoint(result, result.spec, weights, data)
    write_whole(result.folder / "seed.pt", checkpoint_bytes(seed))
    if result.runner_up is not None:
        name = RIVAL_FILE if result.runner_up.trial.kind == RIVAL else FINALIST_FILE
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
