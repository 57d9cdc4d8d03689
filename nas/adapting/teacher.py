"""The teacher of a NetAdapt run's trainings; `seed` stands for the network that is narrowed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import TeacherMetadata
from nas.engine.folder.run_teacher import RunTeacher
from nas.training.teacher_config import TeacherConfig

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

SEED = "seed"
"""Path of the teacher that is the seed itself."""


def read_teacher(
    config: TeacherConfig,
    seed: Checkpoint,
    run: RunFolder | None = None,
    *,
    classes: tuple[str, ...] | None = None,
) -> RunTeacher:
    """Read the teacher of a run.

    Args:
        config: The teacher's settings.
        seed: The network that is narrowed.
        run: The run's folder, which may have a copy.
        classes: The data's classes before they are put into the seed's order, to name a teacher's classes
            that have no names.

    Raises:
        InputError: Its file cannot be read.
    """
    if config.path == SEED:
        return RunTeacher(config, seed, is_kept=True)
    teacher = RunTeacher.read(config, run)
    if classes is None:
        return teacher
    from nas.checkpoints.teachers import with_names  # imports torch

    return replace(teacher, checkpoint=with_names(teacher.checkpoint, classes))


def sentence(teacher: TeacherMetadata, *, proposals: bool = False) -> str:
    """Say that the final trainings learned from a teacher, and proposals if they did."""
    students = "All proposals and final trainings" if proposals else "The final trainings"
    return teacher.sentence(students, name=shown(teacher.file))


def shown(path: str) -> str:
    """Return what a teacher is called.

    >>> shown("seed"), shown("big.pt")
    ('the seed itself', 'big.pt')
    """
    return "the seed itself" if path == SEED else path
