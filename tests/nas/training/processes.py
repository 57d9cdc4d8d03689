"""Run a function in several processes that torch's process group joins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing

from nas.data.share import Share

Work = Callable[[Share], Any]


def together(work: Work, folder: Path, *, world: int = 2) -> list[Any]:
    """Return what each of `world` processes returned; `work` must be a function of a module."""
    multiprocessing.spawn(_run, (work, world, str(folder)), nprocs=world)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world)]


def _run(rank: int, work: Work, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world
    )
    torch.save(work(Share(rank, world)), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
