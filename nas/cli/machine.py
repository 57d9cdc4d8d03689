"""Check the resources of this machine."""

from __future__ import annotations

from nas.engine.schedule_config import ScheduleConfig
from nas.training.recipe import Recipe
from nas.usable_cores import usable_cores
from search_spaces import InputError


def require_machine(schedule: ScheduleConfig, *recipes: Recipe) -> None:
    """Refuse to use more cores or GPUs than there are here; a cluster is checked on joining it.

    Args:
        schedule: What trials use.
        recipes: Their batches must divide among the GPUs of a trial.

    Raises:
        InputError: There are too few, or a batch does not divide.
    """
    _require_machine(schedule)
    schedule.require_parts(*recipes)


def _require_machine(schedule: ScheduleConfig) -> None:
    if schedule.ray_address is not None:
        return
    cores = usable_cores()
    if schedule.cpus_per_trial > cores:
        raise InputError(
            f"cpus_per_trial is {schedule.cpus_per_trial}, but this process may use {cores} cores: give "
            "fewer"
        )
    if schedule.gpus_per_trial > 0:
        import torch  # takes seconds

        gpus = torch.cuda.device_count()
        if schedule.gpus_per_trial > gpus:
            raise InputError(
                f"gpus_per_trial is {schedule.gpus_per_trial:g}, but torch sees {gpus} GPUs here: give "
                "fewer, or the --ray-address of a cluster with GPUs"
            )
