"""Run a function in two processes that torch's process group joins."""

from collections.abc import Callable
from typing import Any

from torch import distributed

from nas.data.share import Share
from nas.training.data_parallel.processes import in_processes


class All:
    """Gathers the results of all processes in the first one; picklable."""

    def __init__(self, work: Callable[[Share], Any]):
        self.work = work

    def __call__(self, share: Share, _: str) -> list[Any]:
        results: list[Any] = [None] * share.world
        distributed.all_gather_object(results, self.work(share))
        return results


def together(work: Callable[[Share], Any], *, world: int = 2) -> list[Any]:
    """Return what each of `world` processes returned; `work` must be a function of a module."""
    return in_processes(All(work), ["cpu"] * world)
