"""A Ray cluster for the time of a run: the user's own, or one on this machine, and its devices."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from nas.engine.on_ray.deaths import of_cluster, of_memory
from nas.engine.on_ray.worker_paths import own_paths
from nas.engine.runner import RunStoppedError
from nas.short_folder import short_folder
from nas.usable_cores import usable_cores
from search_spaces import InputError

RESOURCE = "device:{}"
"""Name of the Ray resource for a device fingerprint; a cluster has 1 of each."""

SAY_AFTER_S = 30
"""Interval of the message that a device is in use."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """Resources for trials.

    Attributes:
        workers: Trials at once; None takes as many as the cluster has room for.
        cpus_per_trial: CPU cores and torch threads per trial.
        gpus_per_trial: GPUs per trial; a fraction shares one.
        address: Address of a running Ray cluster (`auto` finds it); None starts one on this machine.
        retries: Number of times to restart a trial whose worker died.
        devices: Fingerprints of the devices to measure on; each is a resource of a cluster started here.
    """

    workers: int | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float = 0
    address: str | None = None
    retries: int = 1
    devices: tuple[str, ...] = ()


_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # workers without a GPU of their own see none
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our log is the record; theirs would duplicate it
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the command handles Ctrl-C
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # we resume from our log; their snapshots grow with it
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "1000000",  # measuring a batch's latencies takes seconds by design
}


@contextmanager
def cluster(resources: Resources, *, usage_stats: bool) -> Iterator[None]:
    """Connect to the user's cluster, or start one on this machine, until the block ends.

    Raises:
        InputError: The cluster cannot be reached, or does not start.
    """
    import ray

    os.environ.update(_QUIET)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "1" if usage_stats else "0"
    _require_reachable(resources.address)
    own = resources.address is None and not ray.is_initialized()
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if not (resources.address or "").startswith("ray://"):  # there the server chooses
        options["job_config"] = _imports_as_here()
    if own:
        # The user may ask for more workers than there are cores. Ray counts the whole machine's.
        wanted = (resources.workers or 0) * resources.cpus_per_trial
        options["num_cpus"] = wanted or usable_cores()
        options["include_dashboard"] = False
        options["resources"] = {RESOURCE.format(device): 1 for device in resources.devices}
        if resources.gpus_per_trial == 0:
            options["num_gpus"] = 0
    with short_folder() if own else nullcontext() as folder:
        if folder is not None:
            options["_temp_dir"] = folder
        try:
            if not ray.is_initialized():
                with _termination_kept():
                    ray.init(address=resources.address or "local", **options)
        except Exception as error:  # Ray raises plain ones
            raise InputError(_not_started(resources.address, error)) from error
        try:
            yield
        finally:
            if own or resources.address is not None:
                ray.shutdown()


@contextmanager
def deaths_reported() -> Iterator[None]:
    """Describe the death of a process or node, and how to resume.

    Raises:
        RunStoppedError: In place of Ray's error.
    """
    from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
    from ray.tune import TuneError

    try:
        yield
    except (RayError, TuneError) as error:
        death: BaseException | None = error
        while isinstance(death, RayTaskError | TuneError):  # wrappers of an error
            death = death.cause if isinstance(death, RayTaskError) else death.__cause__
        if isinstance(death, OutOfMemoryError):
            raise RunStoppedError(of_memory(str(death))) from error
        if isinstance(death, RayError):
            raise RunStoppedError(of_cluster(str(death))) from error
        raise


def _not_started(address: str | None, error: Exception) -> str:
    """Describe why there is no cluster, and what to do.

    >>> _not_started("auto", ConnectionError("no cluster there"))
    'Ray: cannot reach auto: no cluster there: start the cluster, or leave --ray-address out'
    """
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if address is not None:
        return (
            f"Ray: cannot reach {address}: {reason}: start the cluster, or leave --ray-address out"
        )
    return (
        f"Ray: cannot start a cluster on this machine: {reason.rstrip('.')}: end other programs and try "
        "again, or give --workers 0 (nas train: 1) to train without Ray"
    )


def _imports_as_here() -> Any:
    """Return job settings that give workers the import path of this process."""
    from ray.job_config import JobConfig

    class ImportsAsHere(JobConfig):  # type: ignore[misc]
        @property
        def _py_driver_sys_path(self) -> list[str]:
            # Each entry is prepended. Ray adds the working directory to the list that it gets here.
            return own_paths()[::-1]

        @_py_driver_sys_path.setter
        def _py_driver_sys_path(self, _: list[str]) -> None: ...

    return ImportsAsHere()


@contextmanager
def _termination_kept() -> Iterator[None]:
    """Restore the program's SIGTERM handler; the one that Ray installs on start prints a stack trace."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@contextmanager
def holding(devices: Sequence[str]) -> Iterator[None]:
    """Reserve all devices against other searches on the cluster; waits until they are free.

    Devices unknown to the cluster are not reserved. Ray releases those of a dead search.

    Args:
        devices: Fingerprints.
    """
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    there = ray.cluster_resources()
    if not (known := [name for name in map(RESOURCE.format, devices) if name in there]):
        yield
        return
    # All or none, so that two searches never wait for each other.
    group = placement_group([{name: 1} for name in known])
    try:
        while not group.wait(SAY_AFTER_S):
            _log.warning("waiting for another search to release %s", " and ".join(known))
        yield
    finally:
        remove_placement_group(group)


def _require_reachable(address: str | None) -> None:
    """Check the address first, as Ray retries for minutes.

    Raises:
        InputError: Nothing listens there.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(_not_started(address, error)) from error


def warn_of_unknown(devices: Sequence[str], there: dict[str, float]) -> None:
    """Warn of devices that were not declared when the cluster was started."""
    unknown = [name for name in map(RESOURCE.format, devices) if name not in there]
    if unknown:
        _log.warning(
            "the cluster has no resource %s, so other searches may measure on that device at the same "
            "time: start a node with ray start --resources='{\"%s\": 1}'",
            " and ".join(unknown),
            unknown[0],
        )


def require_room(resources: Resources, there: dict[str, float]) -> int:
    """Return the number of trials that fit the cluster at once.

    Raises:
        InputError: Not even one fits.
    """
    room = []
    for name, needed in (("CPU", resources.cpus_per_trial), ("GPU", resources.gpus_per_trial)):
        has = there.get(name, 0.0)
        if has < needed:
            raise InputError(
                f"{name.lower()}s_per_trial is {needed:g}, but the cluster has {has:g} {name}s: "
                "give fewer, or join a larger cluster with --ray-address"
            )
        room.append(int(has / needed) if needed else None)
    return min(trials for trials in room if trials is not None)
