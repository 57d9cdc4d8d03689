"""The device and the threads of a training in a worker."""

from __future__ import annotations

import torch


def worker_device(name: str, *, threads: int) -> str:
    """Set torch's threads, and return the device to train on.

    Args:
        name: `cpu`, `cuda`, or `auto` for the GPU if the process has one.
        threads: Number of torch threads.

    >>> worker_device("cpu", threads=1)
    'cpu'
    """
    torch.set_num_threads(threads)
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
