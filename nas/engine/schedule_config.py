"""The `schedule` section of a run's settings: workers, cores and GPUs."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from nas.schema import SETTINGS, Counted, Positive
from nas.training.recipe import Recipe
from nas.usable_cores import usable_cores
from search_spaces.errors import InputError


class ScheduleConfig(BaseModel):
    """Where trials train. It affects the duration of a search, and its results only by rounding.

    Attributes:
        workers: Trials at once; 0 trains in this process, without Ray; None takes as many as the
            machine has room for.
        cpus_per_trial: CPU cores and torch threads per trial; accuracies depend on it by rounding.
        gpus_per_trial: GPUs per trial; a fraction shares one, several each compute a part of every batch.
        ray_address: Address of a running Ray cluster; None starts one on this machine.
        retries: Number of times to restart a trial whose worker died.
        usage_stats: Whether Ray may send usage statistics to its developers.
    """

    model_config = SETTINGS

    workers: Counted | None = None
    cpus_per_trial: Positive = 1
    gpus_per_trial: Annotated[float, Field(ge=0)] = 0.0
    ray_address: str | None = None
    retries: Counted = 1
    usage_stats: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.workers == 0 and self.ray_address is not None:
            raise ValueError(
                f"workers is 0, which trains in this process, but ray_address is {self.ray_address!r}: "
                "give one of them"
            )
        return self

    @field_validator("gpus_per_trial")
    @classmethod
    def _whole(cls, gpus: float) -> float:
        if gpus > 1 and gpus % 1:
            raise ValueError(f"several GPUs must be a whole number, got {gpus:g}: give {int(gpus)}")
        return gpus

    def require_parts(self, *recipes: Recipe) -> None:
        """Check that a batch divides among the GPUs of a trial, and each part into those of `accumulate`.

        Raises:
            InputError: It does not, or a part of a part has one image, of which batch norm cannot take
                statistics.
        """
        gpus = max(1, int(self.gpus_per_trial))
        for recipe in recipes:
            size, parts = recipe.batch_size, recipe.accumulate
            if parts > 1 and size // gpus < 2 * parts:
                raise InputError(
                    f"accumulate is {parts}, but a batch has {size // gpus} images, and each part needs "
                    f"two: give at most {max(1, size // gpus // 2)}"
                )
            if size % gpus:
                raise InputError(
                    f"batch_size is {size}, which does not divide among {gpus} GPUs per trial: give "
                    f"{max(gpus, size - size % gpus)}"
                )

    @property
    def device(self) -> str:
        """Device of a training: `auto` takes a GPU if there is one, which is nobody else's.

        Ray's workers of a cluster that was started elsewhere may see GPUs that they were not given.
        """
        return "cpu" if self.workers != 0 and self.gpus_per_trial == 0 else "auto"

    @property
    def at_once(self) -> int:
        """Number of parallel trainings on this machine; at least 1."""
        here = usable_cores() // self.cpus_per_trial
        return max(1, here if self.workers is None else self.workers)
