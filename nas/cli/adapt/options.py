"""The options of `netadapt`, in groups; those shared by all runs are in `RunOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.adapting.config import FINETUNE_STEPS
from nas.cli.options.groups import OptionGroup, given
from nas.cli.teachers import TeacherWeightOption, TemperatureOption, checked_teacher
from nas.searching.targets import aim
from netadapt.settings import TOLERANCE
from search_spaces import InputError


@dataclass(frozen=True, kw_only=True)
class TargetOptions(OptionGroup):
    """The trained network, its images, and the target on a device."""

    seed: Annotated[
        Path | None, typer.Option(help="The trained network, such as a run's seed.pt.")
    ] = None
    target_ms: Annotated[float | None, typer.Option(help="Target latency in ms on the device.")] = (
        None
    )
    target_ratio: Annotated[
        float | None,
        typer.Option(help="Target as a fraction of the trained network's latency: 0.5 halves it."),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(
            help="Device to measure on (see nas devices); default: the seed's device, or cpu."
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(help="The images that the network was trained on.", show_default=False),
    ] = None

    def require_one_target(self) -> None:
        """Check that one valid target is given.

        Raises:
            InputError: There is none, there are two, or the ratio is out of range.
        """
        ratio = self.target_ratio
        if self.target_ms is not None and ratio is not None:
            raise InputError("--target-ms and --target-ratio both set the target: give one of them")
        if self.target_ms is None and ratio is None:
            raise InputError(
                "give --seed with --target-ms or --target-ratio, or --resume with a run's folder"
            )
        if ratio is not None and not 0 < ratio < 1:
            raise InputError(
                f"--target-ratio must be between 0 and 1, got {ratio:g}: 0.5 halves the latency"
            )

    def require_device(self) -> None:
        """Check the device's name, before the device is opened.

        Raises:
            InputError: It is empty, or has a target appended as in a search.
        """
        if self.device is None:
            return
        if not self.device:
            raise InputError("--device is empty: leave it out, or give one that nas devices lists")
        name, target_ms = aim(self.device, alone=True)
        if target_ms is not None:
            raise InputError(
                f"--device {self.device} contains a target, as in a search for several devices: give "
                f"--device {name} --target-ms {target_ms:g}"
            )


@dataclass(frozen=True, kw_only=True)
class StepOptions(OptionGroup):
    """How a step narrows the network; `settings` are those of `AdaptConfig`."""

    panel = "Steps"

    delta: Annotated[
        float,
        typer.Option(
            help="Fraction of the seed's latency that a step saves (MobileNetV3 paper: 0.01)."
        ),
    ] = 0.1
    decay: Annotated[float, typer.Option(help="Factor on delta after each step.")] = 1.0
    divisor: Annotated[int, typer.Option(help="Round widths to multiples of this.")] = 8
    floor: Annotated[int, typer.Option(help="Minimum width.")] = 8
    proposals: Annotated[
        str,
        typer.Option(
            metavar="widths|widths+depth",
            help="What a step may reduce: the paper's widths, or also the depth of a stage, whose last "
            "residual blocks are dropped.",
        ),
    ] = "widths"
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="first|norm|taylor",
            help="Which channels to keep: the first, those of largest L2 norm, or those that matter most "
            "to the loss, to first order; default: taylor for a network of a search from a parent, "
            "otherwise first.",
        ),
    ] = None
    metric: Annotated[
        str,
        typer.Option(
            metavar="ratio|accuracy", help="Choose proposals by dACC/|dLAT|, or by accuracy."
        ),
    ] = "ratio"
    ends: Annotated[bool, typer.Option("--ends", help="Also narrow the stem and the head.")] = False
    tolerance: Annotated[
        float,
        typer.Option(
            help="Fraction of the target that the result may be below it; if further below, it is widened "
            "again. 1 never widens."
        ),
    ] = TOLERANCE


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(OptionGroup):
    """How proposals and the final network are trained."""

    panel = "Training"

    finetune_steps: Annotated[int, typer.Option(help="Fine-tuning steps per proposal.")] = (
        FINETUNE_STEPS
    )
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images per step; default: 128, or that of the recipe detect or segment."
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate of fine-tuning a proposal; default: 0.001, or the recipe's."
        ),
    ] = None
    final: Annotated[
        str | None,
        typer.Option(
            metavar="scratch|finetune|both|none",
            help="How to train the final network; default: scratch for classifiers, otherwise finetune.",
        ),
    ] = None
    final_epochs: Annotated[
        float | None,
        typer.Option(help="Epochs of the final training; default: 30, or the recipe's."),
    ] = None
    final_learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate of the final training; with --final finetune, default --learning-rate."
        ),
    ] = None
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN|seed",
            help="Trained network of the same classes that final trainings learn from as well, the "
            "baseline's too; seed is the network given by --seed.",
        ),
    ] = None
    teach_proposals: Annotated[
        bool,
        typer.Option("--teach-proposals", help="Let proposals learn from the teacher as well."),
    ] = False
    temperature: TemperatureOption = None
    teacher_weight: TeacherWeightOption = None
    compare: Annotated[
        str,
        typer.Option(
            metavar="none|uniform",
            help="Compare with the seed at a uniform width multiplier of the same latency.",
        ),
    ] = "none"
    compare_seeds: Annotated[int, typer.Option(help="Trainings of each network compared.")] = 3
    workers: Annotated[
        int | None,
        typer.Option(help="Proposals trained at once; 0 trains in this process, without Ray."),
    ] = None
    random_seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0

    def settings(self) -> dict[str, Any]:
        """Return all settings; what depends on the task is left out unless it is given.

        Both recipes have one batch size.

        Raises:
            InputError: A teacher's setting is invalid, or given without a teacher.
        """
        return {
            "recipe": given(
                steps=self.finetune_steps,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
            ),
            "final_recipe": given(
                epochs=self.final_epochs,
                batch_size=self.batch_size,
                learning_rate=self.final_learning_rate,
            ),
            **given(final=self.final),
            "teacher": checked_teacher(self.teacher, self.temperature, self.teacher_weight),
            "teach_proposals": self.teach_proposals,
            "compare": self.compare,
            "compare_seeds": self.compare_seeds,
            "schedule": {"workers": self.workers},
            "seed": self.random_seed,
        }
