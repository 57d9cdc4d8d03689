"""Train each job on several GPUs of a worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Protocol, TypeVar

from nas.data.share import Share
from nas.engine.job import Evaluate, J, Job, Outcome

Jobs = TypeVar("Jobs", bound=Job, contravariant=True)


class Trains(Protocol[Jobs]):
    """Trains jobs; a dataclass with the fields `share` and `device`."""

    @property
    def share(self) -> Share:
        """The part of every batch that this process computes."""
        ...

    @property
    def device(self) -> str:
        """Name of a torch device."""
        ...

    def __call__(self, job: Jobs) -> Outcome:
        """Train a job's network."""
        ...


@dataclass(frozen=True)
class SeveralGpus(Generic[J]):
    """Trains each job in one process per GPU, which together take the steps of one; picklable.

    Attributes:
        evaluate: Trains a job in one process.
        devices: Names of torch devices, as the worker sees them.
    """

    evaluate: Trains[J]
    devices: tuple[str, ...]

    def __call__(self, job: J) -> Outcome:
        """Train a job's network."""
        from nas.training.data_parallel.processes import in_processes

        return in_processes(partial(_trained, self.evaluate, job), self.devices)


def _trained(evaluate: Trains[J], job: J, share: Share, device: str) -> Outcome:
    own: Trains[J] = replace(evaluate, share=share, device=device)  # type: ignore[type-var]
    return own(job)


def over_gpus(evaluate: Trains[J], gpus: float) -> Evaluate[J]:
    """Return what trains each job on this many GPUs; a fraction or one needs no other processes."""
    if gpus < 2:
        return evaluate
    return SeveralGpus(evaluate, tuple(f"cuda:{number}" for number in range(int(gpus))))
