"""The teacher of a run's final trainings; the run keeps a copy, so resuming does not need its file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from nas.atomic_files import read_json, write_whole
from nas.engine.folder.records import parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import TeacherMetadata
from nas.training.teacher_config import TeacherConfig
from search_spaces import count

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.training.teacher import Teacher

COPY = "teacher.pt"


@dataclass(frozen=True)
class RunTeacher:
    """A teacher with its checkpoint read.

    Attributes:
        config: Its settings.
        checkpoint: Its network.
        is_kept: Whether the run has it already.
    """

    config: TeacherConfig
    checkpoint: Checkpoint
    is_kept: bool = False

    @classmethod
    def read(cls, config: TeacherConfig, folder: RunFolder | None = None) -> Self:
        """Read the run's copy if there is one, else the file in the settings.

        Args:
            config: The teacher's settings.
            folder: The run's folder, new or not.

        Raises:
            InputError: The file cannot be read.
        """
        from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

        if folder is not None and (recorded := _recorded(folder)) is not None:
            copy = cls(config, load_checkpoint(folder / COPY), is_kept=True)
            if (recorded.file, recorded.weights) == (config.path, copy.metadata().weights):
                return copy
        return cls(config, load_checkpoint(config.path))

    @property
    def madds(self) -> int:
        """Multiply-adds for an image, at the teacher's own resolution."""
        spec = replace(self.checkpoint.spec, resolution=self.checkpoint.usage.trained_px)
        return count(spec).madds

    def teacher(self, classes: tuple[str, ...]) -> Teacher:
        """Return the teacher of networks with these classes.

        Raises:
            InputError: It has other classes.
        """
        from nas.checkpoints.teachers import teacher_of  # imports torch

        return teacher_of(self.checkpoint, classes, self.config)

    def metadata(self) -> TeacherMetadata:
        """Return what identifies it."""
        from nas.checkpoints.torch_files import weights_digest  # imports torch

        return TeacherMetadata(
            file=self.config.path,
            weights=weights_digest(self.checkpoint.weights),
            temperature=self.config.temperature,
            weight=self.config.weight,
        )

    def keep(self, folder: RunFolder) -> None:
        """Copy it into a run's folder, once `run.json` names it."""
        from nas.checkpoints.checkpoint import checkpoint_bytes  # imports torch

        if not self.is_kept:
            write_whole(folder / COPY, checkpoint_bytes(self.checkpoint, run=self.checkpoint.run))


def _recorded(folder: RunFolder) -> TeacherMetadata | None:
    """Return the teacher in a run's metadata; None if the run has none, or no copy of it."""
    path = folder / "run.json"
    if not path.is_file() or not (folder / COPY).is_file():
        return None
    content = read_json(path)
    kept = content.get("teacher") if isinstance(content, dict) else None
    return None if kept is None else parse_record(TeacherMetadata, kept, where=path)
