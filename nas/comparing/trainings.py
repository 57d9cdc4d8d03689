"""Finished trainings, each in a file that is named by all that its result depends on.

No comparison therefore trains a network twice by the same recipe, on the same images, with the same seed.
Each file is a checkpoint that every command reads, with the evidence beside the weights.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.atomic_files import write_whole
from nas.checkpoints.torch_files import read_torch, weights_digest
from nas.data.images import ArraySplit, Dataset, Split
from nas.tasks import task_of
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.comparing.contestant import Contestant
    from nas.tasks.task import Evidence
    from nas.training.teacher_config import TeacherConfig

FOLDER = "trainings"
"""Name of the folder next to the runs, which share it."""

ENTRY = "comparison"
"""Of the checkpoint: the figures of its training."""

VERSION = 1
"""Of the training procedure; trainings of another version are not reused."""


@dataclass(frozen=True)
class Training:
    """A finished training.

    Attributes:
        held_out: The metric on the held-out images, 0..1.
        train_s: Seconds that it took.
        evidence: What the network does on the test images.
    """

    held_out: float
    train_s: float
    evidence: Evidence

    def entry(self, task: str) -> dict[str, Any]:
        """Return the entries to add to its checkpoint's file."""
        figures = {"held_out": self.held_out, "train_s": self.train_s, "task": task}
        return {ENTRY: {**figures, "evidence": dict(self.evidence.state_dict())}}


class Trainings:
    """A folder of finished trainings.

    Args:
        folder: It need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Return the file of a training."""
        return self.folder / f"{key}.pt"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def keep(self, key: str, content: bytes) -> None:
        """Write a training's file.

        Raises:
            InputError: The disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.path(key), content)

    def read(self, key: str) -> Training:
        """Read a training.

        Raises:
            InputError: The file is missing or damaged.
        """
        content = read_torch(self.path(key), wanted="an intact copy, or remove it to train again")
        entry = content[ENTRY]
        evidence = task_of(entry["task"]).evidence(entry["evidence"])
        return Training(entry["held_out"], entry["train_s"], evidence)


def key_of(
    contestant: Contestant,
    images: str,
    recipe: Recipe,
    *,
    seed: int,
    teacher: str | None,
    device: str,
) -> str:
    """Return the name of a training: a digest of all that its result depends on, but for rounding.

    Args:
        contestant: The network, and what it begins with.
        images: Digest of its images; see `digest_of_images`.
        recipe: How it is trained.
        seed: Random seed.
        teacher: Digest of the network that it learns from; see `digest_of_teacher`.
        device: `cpu` or `cuda`, which may train in half precision.
    """
    start = contestant.start
    first = {} if contestant.first is None else {"first": contestant.first.model_dump(mode="json")}
    return _digest(
        first
        | {
            "version": VERSION,
            "network": contestant.spec.fingerprint,
            "start": start and [weights_digest(start.weights), asdict(start.usage)],
            "new_classes": contestant.new_classes,
            "images": images,
            "recipe": recipe.model_dump(mode="json"),
            "seed": seed,
            "teacher": teacher,
            "device": device,
        }
    )


def digest_of_images(data: Dataset) -> str:
    """Return a digest of images: of the names and sizes of their files, or of the pixels of arrays.

    Training images that are decoded as they are read differ slightly from those in memory.
    """
    files = data.contents.to_dict() if data.contents is not None else None
    splits = (data.train, data.val, data.test)
    return _digest(
        {
            "task": data.task,
            "classes": data.classes,
            "px": data.resolution_px,
            "preparation": asdict(data.preparation),
            "normalization": [data.mean, data.std],
            "held": [type(split).__name__ for split in splits],
            "files": files,
            "pixels": None if files else [_pixels(split, data.name) for split in splits],
        }
    )


def digest_of_teacher(checkpoint: Checkpoint, config: TeacherConfig) -> str:
    """Return a digest of a teacher and its settings, wherever its file lies."""
    settings = config.model_dump(exclude={"path"})
    usage = asdict(checkpoint.usage)
    return _digest([weights_digest(checkpoint.weights), usage, settings])


def _pixels(split: Split, name: str) -> list[Any]:
    if not isinstance(split, ArraySplit):
        return [name, len(split)]
    digest = hashlib.sha256(split.images.tobytes())
    digest.update(split.targets.tobytes())
    return [len(split), digest.hexdigest()]


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
