"""Who trains a loop's jobs: this process, or Ray's workers."""

from __future__ import annotations

from nas.config import ScheduleConfig
from nas.loop import JobLoop, run_serially
from nas.trial import Evaluate


def run_jobs(loop: JobLoop, evaluate: Evaluate, schedule: ScheduleConfig) -> None:
    """Train every job of a loop where the schedule says.

    Raises:
        InputError: The cluster cannot be reached, or has no room for a single trial.
        SearchStoppedError: The loop gave up.
    """
    if schedule.workers == 0:
        run_serially(loop, evaluate)
        return
    from nas.schedule import Resources, run_on_ray

    resources = Resources(
        workers=schedule.workers,
        cpus_per_trial=schedule.cpus_per_trial,
        gpus_per_trial=schedule.gpus_per_trial,
        address=schedule.ray_address,
        retries=schedule.retries,
    )
    run_on_ray(loop, evaluate, resources, usage_stats=schedule.usage_stats)
