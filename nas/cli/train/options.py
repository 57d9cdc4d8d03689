"""Options of `nas train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from nas.cli.options.groups import OptionGroup, given
from nas.cli.specs import ClassFileOption, ScaleOptions
from nas.cli.teachers import (
    TeacherOption,
    TeacherWeightOption,
    TemperatureOption,
    checked_teacher,
)
from nas.display.output import JsonFlag
from nas.training_runs.config import TrainSchedule
from search_spaces import InputError
from search_spaces.errors import first_problem


@dataclass(frozen=True, kw_only=True)
class TrainOptions(OptionGroup):
    """What to train on, where, and the file to write."""

    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of class folders or of images with boxes or masks, or a data set's name."
        ),
    ] = None
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels for training and deployment; default: the checkpoint's or spec's, or the "
            "images' own for a reference network."
        ),
    ] = None
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto (default).")] = None
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that each compute a part of every batch, on one GPU each with --device cuda; 1 "
            "by default."
        ),
    ] = None
    cpus_per_worker: Annotated[
        int | None,
        typer.Option(help="CPU cores of each; by default those of this machine, shared."),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Address of a running Ray cluster; images need the same path on each machine."
        ),
    ] = None
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all randomness; 0 by default.")
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; default: NAME-trained.pt next to the input."
        ),
    ] = None
    run_name: Annotated[str | None, typer.Option(help="Name of the run's folder.")] = None
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs")
    resume: Annotated[
        Path | None, typer.Option(help="Resume the interrupted training in this folder.")
    ] = None
    as_json: JsonFlag = False

    def schedule(self, base: TrainSchedule | None = None) -> TrainSchedule:
        """Return where to train as settings, those of `base` where they are not given.

        Raises:
            InputError: One is invalid.
        """
        own = given(
            workers=self.workers,
            cpus_per_worker=self.cpus_per_worker,
            ray_address=self.ray_address,
        )
        before = {} if base is None else base.model_dump()
        try:
            return TrainSchedule.model_validate({**before, **own})
        except ValidationError as error:
            name, colon, rest = first_problem(error).partition(":")
            raise InputError(f"--{name.replace('_', '-')}{colon}{rest}") from error


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(OptionGroup):
    """How to train; `settings` are those of `Recipe`."""

    panel = "Recipe and teacher"

    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="proxy, paper, photos, finetune, detect, segment, or a YAML file "
            "(docs/reference/recipes.md); default: detect for boxes, segment for masks, finetune for other "
            "seeds, proxy from scratch.",
        ),
    ] = None
    epochs: Annotated[float | None, typer.Option(help="Passes over the training images.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None
    teacher: TeacherOption = None
    temperature: TemperatureOption = None
    teacher_weight: TeacherWeightOption = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that override the recipe's."""
        return given(
            epochs=self.epochs, learning_rate=self.learning_rate, batch_size=self.batch_size
        )

    def teacher_settings(self) -> dict[str, Any] | None:
        """Return the settings of `TeacherConfig`; None without a teacher.

        Raises:
            InputError: A setting of a teacher is given without one.
        """
        return checked_teacher(self.teacher, self.temperature, self.teacher_weight)


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(ScaleOptions):
    """Which weights to begin with, and the width of a reference network."""

    panel = "Weights, classes, width"

    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME",
            help="Begin with this trained network in place of SPEC: a checkpoint, a run's folder, or "
            "published weights such as mobilenet_v3_large.",
        ),
    ] = None
    new_classifier: Annotated[
        bool,
        typer.Option(
            "--new-classifier", help="Replace the last layer by a new one for the data's classes."
        ),
    ] = False
    classes: ClassFileOption = None
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Initialize all weights, even for a seed.")
    ] = False
