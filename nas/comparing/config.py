"""Settings of a comparison, as `config.yaml` in its folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from nas.atomic_files import write_whole
from nas.data.config import DataConfig
from nas.engine.schedule_config import ScheduleConfig
from nas.schema import SETTINGS, Counted, Positive
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from search_spaces.errors import first_problem
from search_spaces.spec import read_yaml

FILE = "config.yaml"


def is_comparison(folder: Path) -> bool:
    """Return whether a folder is that of a comparison.

    Raises:
        InputError: Its settings are not YAML.
    """
    path = folder / FILE
    settings = read_yaml(path) if path.is_file() else None
    return isinstance(settings, dict) and settings.get("kind") == "compare"


class CompareConfig(BaseModel):
    """A comparison.

    Attributes:
        data: The images; each network has its own size.
        devices: Where latency is measured, as `--device` names them.
        finetune: Recipe of networks that begin with trained weights.
        from_scratch: Recipe of the others.
        rates: Multiples of a recipe's learning rate; each network trains at the best one for it.
        seeds: Trainings of each network.
        first_seed: Random seed of the first.
        teacher: The network that all learn from, if any.
        schedule: Where to train.
    """

    model_config = SETTINGS

    kind: str = "compare"
    data: DataConfig
    devices: Annotated[tuple[str, ...], Field(min_length=1)] = ("cpu",)
    finetune: Recipe
    from_scratch: Recipe
    rates: Annotated[tuple[float, ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    seeds: Positive = 5
    first_seed: Counted = 0
    teacher: TeacherConfig | None = None
    schedule: ScheduleConfig = ScheduleConfig()

    @field_validator("rates")
    @classmethod
    def _rates(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if wrong := [rate for rate in rates if not 0 < rate < math.inf]:
            raise ValueError(f"multiples of a learning rate must be above 0, got {wrong[0]:g}")
        if len(set(rates)) < len(rates):
            raise ValueError(f"give each multiple once, got {', '.join(f'{r:g}' for r in rates)}")
        return rates

    def write(self, folder: Path) -> None:
        """Write it into a run's folder."""
        content = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        write_whole(folder / FILE, content)

    @classmethod
    def read(cls, folder: Path) -> CompareConfig:
        """Read it from a run's folder.

        Raises:
            InputError: The folder is not that of a comparison, or the file is damaged.
        """
        path = folder / FILE
        if not is_comparison(folder):
            raise InputError(
                f"{folder} is not a comparison's folder: give runs/NAME of nas compare"
            )
        try:
            return cls.model_validate(read_yaml(path))
        except ValidationError as error:
            raise InputError(
                f"{path}: {first_problem(error)}: restore the file from a copy, or compare anew"
            ) from error
