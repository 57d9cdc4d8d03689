"""Run jobs in this process or on Ray, and hold the run's devices meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from latency import LatencySource, devices_of
from nas.engine.job import Evaluate, J
from nas.engine.on_ray.cluster import Resources, holding
from nas.engine.on_ray.tune import run_on_ray
from nas.engine.runner import BatchRunner, run_serially
from nas.engine.schedule_config import ScheduleConfig


def run_jobs(
    runner: BatchRunner[J],
    evaluate: Evaluate[J],
    schedule: ScheduleConfig,
    *,
    devices: Sequence[str] = (),
) -> None:
    """Train every job of a runner where the schedule says.

    Args:
        runner: Yields jobs and records outcomes.
        evaluate: Trains a job's network.
        schedule: Where to train.
        devices: Fingerprints of the devices that `hold` will ask for.

    Raises:
        InputError: The cluster cannot be reached, or has no room for a single trial.
        RunStoppedError: The plan gave up.
    """
    if schedule.workers == 0:
        run_serially(runner, evaluate)
        return
    if not devices:
        runner.begin()  # measures the first batch before the workers' start disturbs it
        if runner.done:  # nothing is left to train
            return
    resources = Resources(
        workers=schedule.workers,
        cpus_per_trial=schedule.cpus_per_trial,
        gpus_per_trial=schedule.gpus_per_trial,
        address=schedule.ray_address,
        retries=schedule.retries,
        devices=tuple(devices),
    )
    run_on_ray(runner, evaluate, resources, usage_stats=schedule.usage_stats)


def remote_devices(sources: Sequence[LatencySource]) -> list[str]:
    """Fingerprints of the devices on other machines: only one run at a time may measure on each."""
    devices = [device for source in sources for device in devices_of(source)]
    return [d.fingerprint for d in devices if not (d.local or d.estimate)]


def hold(
    devices: Sequence[str], schedule: ScheduleConfig
) -> Callable[[], AbstractContextManager[object]]:
    """Return a context manager that keeps the cluster's other runs off some devices.

    Processes on one machine share a device in turn in any case (`latency.measuring.device_lock`).

    Args:
        devices: Fingerprints.
        schedule: Where jobs run.
    """
    if schedule.workers == 0 or not devices:
        return nullcontext
    return partial(holding, devices)
