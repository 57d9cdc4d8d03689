"""The options of a teacher, which several commands share, and the teacher that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from nas.cli.options.groups import given
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from search_spaces.errors import first_problem

if TYPE_CHECKING:
    from nas.engine.folder.data_changes import Resumed
    from nas.engine.folder.run_teacher import RunTeacher

TeacherOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|RUN", help="Trained network of the same classes to learn from as well."
    ),
]
TemperatureOption = Annotated[
    float | None, typer.Option(help="Softens the outputs of both networks; 2 by default.")
]
TeacherWeightOption = Annotated[
    float | None,
    typer.Option(
        help="Part of the loss that is the teacher's, above 0 to 1; 0.5 by default. The labels have the "
        "rest."
    ),
]


def teacher_settings(
    teacher: Path | None, temperature: float | None, weight: float | None
) -> dict[str, Any] | None:
    """Return the settings of `TeacherConfig`; None without a teacher.

    Raises:
        InputError: A setting of a teacher is given without one.
    """
    settings = given(temperature=temperature, weight=weight)
    if teacher is not None:
        return {"path": str(teacher), **settings}
    if settings:
        raise InputError("--temperature and --teacher-weight apply to --teacher FILE: add it")
    return None


def teacher_config(settings: dict[str, Any] | None) -> TeacherConfig | None:
    """Check the options of a teacher.

    Raises:
        InputError: One is invalid.
    """
    if settings is None:
        return None
    try:
        return TeacherConfig.model_validate(settings)
    except ValidationError as error:
        name, colon, rest = first_problem(error).partition(":")
        option = {"weight": "teacher-weight"}.get(name, name)
        raise InputError(f"--{option}{colon}{rest}") from error


def checked_teacher(
    teacher: Path | None, temperature: float | None, weight: float | None
) -> dict[str, Any] | None:
    """Return the settings of `TeacherConfig`, checked so that a message names the option.

    Raises:
        InputError: One is invalid, or a setting of a teacher is given without one.
    """
    settings = teacher_settings(teacher, temperature, weight)
    teacher_config(settings)
    return settings


def found_teacher(config: TeacherConfig) -> TeacherConfig:
    """Replace a run's folder by the file of its network.

    Raises:
        InputError: The run has no result yet.
    """
    from nas.cli.specs import of_run  # imports much, too slow for --help

    path = of_run(config.path, ".pt")
    return config if path is None else config.model_copy(update={"path": str(path)})


def run_teacher(config: TeacherConfig | None, resumed: Resumed | None) -> RunTeacher | None:
    """Read the teacher of a search or NetAdapt run.

    Args:
        config: Its settings, as given; None without a teacher.
        resumed: The resumed run, if any, whose copy of the teacher is used.

    Raises:
        InputError: It cannot be read.
    """
    if config is None:
        return None
    from nas.cli.provenance import say_run
    from nas.engine.folder.run_teacher import RunTeacher

    teacher = RunTeacher.read(found_teacher(config), resumed.folder if resumed else None)
    say_run(teacher.config.path, teacher.checkpoint.run)
    return teacher
