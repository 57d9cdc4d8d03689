"""What earlier runs tell before a search begins: the noise of a trial of these images and this recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data.chance import chance_of
from nas.engine.run_folder import RunFolder
from nas.engine.run_metadata import data_metadata
from nas.searching.config import SearchConfig
from nas.searching.planning.evidence import Evidence
from nas.searching.record import RunRecord
from nas.statistics.noise import Noise, pooled
from nas.training.recipe import Recipe
from search_spaces import InputError, SearchSpace

if TYPE_CHECKING:
    from nas.data.images import Dataset

MOST_RUNS = 5
"""The newest are read; more would tell little more."""


@dataclass(frozen=True)
class Earlier:
    """What the runs alike tell.

    Attributes:
        noise: Of all of them together; None if none tells it.
        names: Of the runs, newest first.
        damaged: A sentence for each run that could not be read.
        evidence: What their trials were like; None without any.
    """

    noise: Noise | None
    names: tuple[str, ...]
    damaged: tuple[str, ...]
    evidence: Evidence | None = None

    @property
    def too_early(self) -> str | None:
        """Why to train longer before any other advice, if so."""
        if self.noise is None or self.evidence is None:
            return None
        return self.evidence.too_early(self.noise.between_seeds)


def earlier_runs(root: Path, space: SearchSpace, data: Dataset, config: SearchConfig) -> Earlier:
    """The noise that runs of the same space, images and recipe have shown.

    A run whose trials began with weights, or of which only the better candidates trained in full, is
    not alike: its networks differ less than drawn ones.

    Args:
        root: Where run folders are; it need not be there.
        space: Of the search to come.
        data: Its images.
        config: Its settings.
    """
    if config.warm_start:
        return Earlier(None, (), ())
    wanted = json.loads(json.dumps(_metadata(space, data, config.recipe)))  # as a run's are read
    found: dict[str, Noise] = {}
    accuracies: dict[str, float] = {}
    damaged = []
    for path in sorted(root.glob("*/run.json"), key=_age):
        try:
            if len(found) < MOST_RUNS and _alike(_read(path), wanted):
                run = RunRecord.read(RunFolder(path.parent))
                noise = run.noise
                # A run repeated with its seed, or copied, reads the same once more.
                if noise is not None and noise not in found.values():
                    found[path.parent.name] = noise
                    accuracies |= {t.fingerprint: t.accuracy or 0.0 for t in run.good}
        except InputError as error:
            damaged.append(f"an earlier run was left out of the advice: {error}")
    if not found:
        return Earlier(None, (), tuple(damaged))
    evidence = Evidence(
        steps=config.recipe.total_steps(len(data.train)),
        networks=len(accuracies),
        best=max(accuracies.values()),
        chance=chance_of(data.val, classes=len(data.classes)),
        held_out=len(data.val),
    )
    return Earlier(pooled(list(found.values())), tuple(found), tuple(damaged), evidence)


def _metadata(space: SearchSpace, data: Dataset, recipe: Recipe) -> dict[str, Any]:
    labels = [[name, list(choices)] for name, choices in space.labels]
    return {
        "space": space.name,
        "labels": labels,
        "data": data_metadata(data),
        "recipe": recipe.model_dump(mode="json"),
    }


def _alike(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a run's accuracies compare with those to come. What it did not know was as by default."""
    training = metadata.get("training")
    if training is None or not training.get("by_recipe", True):
        return False
    if training.get("warm_start") or training.get("fidelity"):
        return False
    recipe = Recipe().model_dump(mode="json") | training["recipe"]
    return {**{key: metadata.get(key) for key in wanted}, "recipe": recipe} == wanted


def _read(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error})") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: expected keys and values, got {type(metadata).__name__}")
    return metadata


def _age(path: Path) -> float:
    return -path.stat().st_mtime
