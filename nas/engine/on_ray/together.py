"""Train one network in several workers of a Ray cluster, with Ray Train.

Results, progress and states go to the calling process by way of an actor, so that the machines of a cluster
need no common folder. If a worker dies, Ray starts all of them anew, and they resume the last state kept.
"""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from latency.measuring.user_folders import ensure_home
from nas.data.share import Share
from nas.engine.on_ray.cluster import Resources, cluster, deaths_reported
from nas.engine.on_ray.deaths import of_cluster
from nas.engine.on_ray.post import Post, Posting, Reporting, from_bytes, to_bytes
from nas.engine.runner import RunStoppedError
from nas.formatting import counted
from nas.training.keeping import Keeper
from nas.training.progress import BatchTooLarge, Diverged, Progress
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.retrain import Retrained

_log = logging.getLogger(__name__)

POLL_S = 0.2

STARTS = 10
"""How often Ray Train tries to place the workers, a minute each time, before it gives up."""

SAY_AFTER_S = 30.0
"""Silence of the workers before the wait for them is mentioned."""


Fit = Callable[..., "Retrained"]
"""Trains a network; takes `nas.checkpoints.retrain.FitOptions`. Picklable."""


@dataclass(frozen=True)
class Workers:
    """Workers of one training.

    Attributes:
        count: Number of workers.
        cpus: CPU cores and torch threads of each.
        device: `cpu`, `cuda` for a GPU each, or `auto` for that if the cluster has enough.
        address: Address of a running Ray cluster; None starts one on this machine.
        usage_stats: Whether Ray may send usage statistics.
        restarts: How often workers that died are replaced.
    """

    count: int
    cpus: int = 1
    device: str = "cpu"
    address: str | None = None
    usage_stats: bool = False
    restarts: int = 3

    @property
    def resources(self) -> Resources:
        """What a cluster started here must have."""
        return Resources(
            workers=self.count,
            cpus_per_trial=self.cpus,
            gpus_per_trial=int(self.device != "cpu"),
            address=self.address,
        )

    def on(self, machines: Sequence[Mapping[str, float]]) -> Workers:
        """Return the workers with their device decided, for a cluster of machines with these resources.

        Raises:
            InputError: The cluster has no room for all of them at once.
        """
        device = self.device
        if device == "auto":
            device = "cuda" if self.room(machines, gpus=1) >= self.count else "cpu"
        room = self.room(machines, gpus=int(device == "cuda"))
        if room < self.count:
            more = " and a GPU" if device == "cuda" else ""
            fewer = f"give at most {room}" if room else "give fewer CPUs per worker"
            raise InputError(
                f"--workers is {self.count}, but the cluster has room for {room} with "
                f"{counted(self.cpus, 'CPU')}{more} each: {fewer}"
            )
        return replace(self, device=device)

    def room(self, machines: Sequence[Mapping[str, float]], *, gpus: int) -> int:
        """Return how many workers fit, each on one machine."""
        return sum(
            int(
                min(
                    machine.get("CPU", 0) // self.cpus,
                    machine.get("GPU", 0) // gpus if gpus else math.inf,
                )
            )
            for machine in machines
        )


def train_together(
    fit: Fit,
    workers: Workers,
    *,
    keeper: Keeper,
    on_progress: Callable[[Progress], None],
) -> Retrained:
    """Train a network in several Ray workers.

    Args:
        fit: Trains the network; is called in each worker, with its part of every batch.
        workers: The workers.
        keeper: Keeps the state, in this process; what it has kept is resumed.
        on_progress: Called in this process.

    Raises:
        InputError: The cluster cannot be reached or lacks room; or `fit` raised it.
        Diverged: The loss became NaN or infinite.
        RunStoppedError: Workers died too often.
    """
    ensure_home()  # Ray crashes without a home folder
    import ray

    with (
        cluster(workers.resources, usage_stats=workers.usage_stats),
        deaths_reported(),
        tempfile.TemporaryDirectory() as scratch,
    ):
        workers = workers.on([node["Resources"] for node in ray.nodes() if node["Alive"]])
        post = _here(Post).remote(*_kept(keeper))
        host = _here(Host).remote()
        try:
            return _receive(
                post, host.run.remote([ray.put(fit)], post, workers, scratch), keeper, on_progress
            )
        finally:
            ray.kill(host)  # Ray ends the workers with it


def _kept(keeper: Keeper) -> tuple[bytes | None, int]:
    """Return the last state, serialized, and its step."""
    state = keeper.load()
    return (None, 0) if state is None else (to_bytes(state), state["step"])


def _here(kind: type) -> Any:
    """Return a class of actors on this process's node, which must outlive the workers."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(kind)


def _receive(
    post: Any, training: Any, keeper: Keeper, on_progress: Callable[[Progress], None]
) -> Retrained:
    """Pass on the workers' messages until the training ends; return its result."""
    import ray

    done: Retrained | None = None
    ended = said = False
    began_s = time.monotonic()
    while not ended:
        ended = bool(ray.wait([training], timeout=POLL_S)[0])
        messages = ray.get(post.take.remote())
        if messages:
            said = True
        elif not said and time.monotonic() - began_s > SAY_AFTER_S:
            said = True
            _log.warning("waiting for the workers: the cluster's CPUs or GPUs may be in use")
        for kind, content in messages:
            if kind == "progress":
                on_progress(content)
            elif kind == "state":
                state, progress = content
                keeper.keep(from_bytes(state), progress)
            elif kind == "done":
                done = from_bytes(content, trusted=True)
            elif kind == "restarted":
                _log.warning("a worker died: all of them resume after %s", counted(content, "step"))
            else:
                raise (Diverged if kind == "diverged" else InputError)(content)
    problem = ray.get(training)
    if problem is not None:
        raise RunStoppedError(problem)
    assert done is not None
    return done


class Host:
    """An actor in which Ray Train's driver runs: a call of it cannot be interrupted, an actor is killed."""

    def run(self, fit: list[Any], post: Any, workers: Workers, scratch: str) -> str | None:
        """Train; return what ended the training, None if it is done.

        Args:
            fit: The object reference of a `Fit`; in a list, Ray does not replace it by the object.
            post: The actor for messages.
            workers: The workers.
            scratch: A folder for Ray Train.
        """
        from ray.exceptions import RayError
        from ray.train import TrainingFailedError

        try:
            _trainer(fit[0], post, workers, scratch=scratch).fit()
        except TrainingFailedError as error:
            failures = getattr(error, "worker_failures", None) or {0: error}
            rank, reason = next(iter(failures.items()))
            lines = str(reason).strip().splitlines()
            problem = f"worker {rank}: {lines[-1] if lines else type(reason).__name__}"
            died = isinstance(reason, RayError) or "HealthCheck" in type(reason).__name__
            return of_cluster(problem) if died else f"the training failed in {problem}"
        return None


def _trainer(fit: Any, post: Any, workers: Workers, *, scratch: str) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    on_gpu = workers.device == "cuda"
    each = {"CPU": workers.cpus, "GPU": int(on_gpu)}
    return TorchTrainer(
        _work,
        train_loop_config={"fit": fit, "post": post, "threads": workers.cpus},
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers.count, use_gpu=on_gpu, resources_per_worker=each
        ),
        run_config=RunConfig(
            name="training",
            storage_path=scratch,
            failure_config=FailureConfig(
                max_failures=workers.restarts, controller_failure_limit=STARTS
            ),
        ),
    )


def _work(config: dict[str, Any]) -> None:
    """Train in one worker."""
    import ray
    from ray import train
    from ray.train.torch import get_device

    post = config["post"]
    context = train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    first = share.rank == 0
    if first:
        ray.get(post.begin.remote())
    torch.set_num_threads(config["threads"])
    try:
        done = ray.get(config["fit"])(
            share=share,
            device=str(get_device()),
            keeper=Posting(post, keeps=first),
            on_progress=Reporting(post) if first else None,
        )
    except (InputError, Diverged, BatchTooLarge) as error:  # the workers would fail again
        kind = "diverged" if isinstance(error, Diverged) else "input"
        ray.get(post.send.remote(kind, str(error)))
        raise  # the others may wait for this one
    if first:
        ray.get(post.send.remote("done", to_bytes(done)))
