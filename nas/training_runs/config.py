"""Settings of a training run, as `config.yaml` in its folder."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from nas.atomic_files import write_whole
from nas.data.config import DataConfig
from nas.schema import SETTINGS, Counted, Positive
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from nas.usable_cores import usable_cores
from search_spaces import InputError
from search_spaces.errors import first_problem
from search_spaces.spec import read_yaml

FILE = "config.yaml"


class TrainSchedule(BaseModel):
    """Where a training runs. It affects its duration, and its result only by rounding.

    Attributes:
        workers: Processes that each compute a part of every batch.
        cpus_per_worker: Cores and torch threads of each; None divides those that this process may use.
        ray_address: Address of a running Ray cluster; None starts one here, if there are several workers.
        usage_stats: Whether Ray may send usage statistics to its developers.
    """

    model_config = SETTINGS

    workers: Positive = 1
    cpus_per_worker: Positive | None = None
    ray_address: str | None = None
    usage_stats: bool = False

    @property
    def on_ray(self) -> bool:
        """Whether the training runs in Ray workers, rather than in this process."""
        return self.workers > 1 or self.ray_address is not None

    @property
    def cpus(self) -> int:
        """Cores of each worker, at least one."""
        return self.cpus_per_worker or max(1, usable_cores() // self.workers)

    def require_parts(self, recipe: Recipe) -> None:
        """Check that every worker has the same part of a batch.

        Raises:
            InputError: The batch size is no multiple of the workers, or a part of a part has one image,
                of which batch norm cannot take statistics.
        """
        size, workers = recipe.batch_size, self.workers
        if size % workers or size < workers:
            fitting = max(workers, size - size % workers)
            raise InputError(
                f"--batch-size {size} does not divide among {workers} workers: give {fitting} or "
                f"{fitting + workers}"
            )
        own = size // workers
        if recipe.accumulate > 1 and own < 2 * recipe.accumulate:
            whose = "a batch has" if workers == 1 else f"each of {workers} workers has"
            raise InputError(
                f"accumulate is {recipe.accumulate}, but {whose} {own} images, and each part needs two: "
                f"give at most {max(1, own // 2)}"
            )


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
        schedule: Where to train.
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
    schedule: TrainSchedule = TrainSchedule()

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
        if not is_training(folder):
            raise InputError(
                f"{folder} is the folder of another run: resume it by nas-search or netadapt --resume"
            )
        try:
            return cls.model_validate(read_yaml(path))
        except ValidationError as error:
            raise InputError(
                f"{path}: {first_problem(error)}: restore the file from a copy, or train anew"
            ) from error


def is_training(folder: Path) -> bool:
    """Return whether a folder is that of a training, rather than of a search or NetAdapt.

    Raises:
        InputError: Its settings are not YAML.
    """
    path = folder / FILE
    settings = read_yaml(path) if path.is_file() else None
    return isinstance(settings, dict) and settings.get("kind") == "train"
