"""The networks of a comparison, and the files that a run keeps of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.atomic_files import read_json, write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.training.recipe import Recipe
from search_spaces import ArchSpec
from search_spaces.spec import from_dict, to_dict

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

FILE = "networks.json"


@dataclass(frozen=True)
class Contestant:
    """A network to compare. Picklable.

    Attributes:
        name: What it is called; no two of a comparison have the same name.
        spec: The network, with a head for the data, at the resolution that it is trained and measured at.
        start: The same network with the weights that its training begins with; None trains from scratch.
        new_classes: Whether what scores the classes is drawn anew, for each seed another.
        inherited: Whether the weights are those of a wider or deeper network, or of larger images, whose
            batch norm statistics do not fit.
        first: Recipe by which it is fine-tuned before its training proper, without the teacher; None if it
            is not.
    """

    name: str
    spec: ArchSpec
    start: Checkpoint | None = None
    new_classes: bool = False
    inherited: bool = False
    first: Recipe | None = None


def keep_contestants(folder: RunFolder, contestants: Sequence[Contestant]) -> None:
    """Write the networks into a run's folder; `networks.json` comes last."""
    from nas.checkpoints.checkpoint import checkpoint_bytes  # imports torch

    for place, one in enumerate(contestants):
        if one.start is not None:
            path = _start(folder, place)
            path.parent.mkdir(exist_ok=True)
            write_whole(path, checkpoint_bytes(one.start))
    entries = [
        {
            "name": one.name,
            "spec": to_dict(one.spec),
            "start": one.start is not None,
            "new_classes": one.new_classes,
            "inherited": one.inherited,
            "first": one.first and one.first.model_dump(mode="json"),
        }
        for one in contestants
    ]
    write_whole(folder / FILE, json.dumps(entries, indent=1) + "\n")


def read_contestants(folder: RunFolder) -> tuple[Contestant, ...]:
    """Return the networks that a run has kept; none before that."""
    from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

    path = folder / FILE
    if not path.is_file():
        return ()
    return tuple(
        Contestant(
            entry["name"],
            from_dict(entry["spec"]),
            load_checkpoint(_start(folder, place)) if entry["start"] else None,
            new_classes=entry["new_classes"],
            inherited=entry["inherited"],
            first=Recipe.model_validate(entry["first"]) if entry.get("first") else None,
        )
        for place, entry in enumerate(read_json(path))
    )


def _start(folder: RunFolder, place: int) -> Path:
    return folder / f"starts/{place}.pt"
