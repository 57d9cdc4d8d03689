"""What the machine has that a command runs on."""

from __future__ import annotations

import os

from nas.engine.schedule_config import ScheduleConfig
from search_spaces import InputError


def require_machine(schedule: ScheduleConfig) -> None:
    """Refuse what this machine has not got; a cluster is asked when it is joined."""
    if schedule.ray_address is not None:
        return
    cores = os.cpu_count() or 1
    if schedule.cpus_per_trial > cores:
        raise InputError(
            f"cpus_per_trial is {schedule.cpus_per_trial}, but this machine has {cores}: give fewer"
        )
    if schedule.gpus_per_trial > 0:
        import torch

        gpus = torch.cuda.device_count()
        if schedule.gpus_per_trial > gpus:
            raise InputError(
                f"gpus_per_trial is {schedule.gpus_per_trial:g}, but torch sees {gpus} GPUs here: give "
                "fewer, or --ray-address of a cluster that has some"
            )
