"""Run a function in several processes of this machine, joined by torch's process group."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from nas.data.share import Share

R = TypeVar("R")


def in_processes(work: Callable[[Share, str], R], devices: Sequence[str]) -> R:
    """Call a function in one process per device, and return what the first one returned.

    Args:
        work: Takes the process's share and its device. It and its result must be picklable.
        devices: Names of torch devices: the processes exchange tensors by NCCL on GPUs, else by gloo.

    Raises:
        RuntimeError: One of the processes failed; the message is the last line of its error.
    """
    from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        try:
            spawn(_run, (work, tuple(devices), folder, threads), nprocs=len(devices))  # type: ignore[no-untyped-call]
        except (ProcessExitedException, ProcessRaisedException) as error:
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error
        result: R = torch.load(Path(folder) / "result.pt", weights_only=False)
        return result


def _run(
    rank: int, work: Callable[[Share, str], R], devices: Sequence[str], folder: str, threads: int
) -> None:
    from torch import distributed

    device = torch.device(devices[rank])
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=len(devices),
    )
    try:
        result = work(Share(rank, len(devices)), devices[rank])
    finally:
        distributed.destroy_process_group()
    if rank == 0:
        torch.save(result, Path(folder) / "result.pt")
