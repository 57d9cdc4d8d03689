"""Settings of a training run, as `config.yaml` in its folder."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from nas.atomic_files import write_whole
from nas.data.config import DataConfig
from nas.schema import SETTINGS, Counted
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from search_spaces.errors import first_problem
from search_spaces.spec import read_yaml

FILE = "config.yaml"


class TrainConfig(BaseModel):
    """A training run.

    Attributes:
        network: The network, as it was typed.
        output: The file to write at the end; absolute.
        data: The images.
        recipe: How to train.
        random_seed: Seed of all randomness.
        device: Name of a torch device.
        teacher: The network to learn from, if any.
    """

    model_config = SETTINGS

    kind: str = "train"
    network: str
    output: Path
    data: DataConfig
    recipe: Recipe
    random_seed: Counted = 0
    device: str = "cpu"
    teacher: TeacherConfig | None = None

    def write(self, folder: Path) -> None:
        """Write it into a run's folder."""
        content = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        write_whole(folder / FILE, content)

    @classmethod
    def read(cls, folder: Path) -> TrainConfig:
        """Read it from a run's folder.

        Raises:
            InputError: The folder is not that of a training run, or the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            raise InputError(
                f"{folder} is not a training's folder (no {FILE} in it): give runs/NAME"
            )
        settings = read_yaml(path)
        if not isinstance(settings, dict) or settings.get("kind") != "train":
            raise InputError(
                f"{folder} is the folder of another run: resume it by nas-search or netadapt --resume"
            )
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise InputError(
                f"{path}: {first_problem(error)}: restore the file from a copy, or train anew"
            ) from error
