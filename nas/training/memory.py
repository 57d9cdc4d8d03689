"""A batch that does not fit into memory: recognize the error, and find a batch that fits."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

SMALLEST_BATCH = 2
"""Batch norm needs more than one image."""

ALLOCATION_FAILED = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",  # the same on Windows
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
)
"""Parts of the messages of the plain `RuntimeError`s that PyTorch raises when memory runs out."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, on a CPU or a GPU.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in ALLOCATION_FAILED)


def fitting_batch(step: Callable[[int], None], batch_size: int) -> int | None:
    """Find a batch that fits into memory, by trying halves of one that did not.

    Call it outside of the `except` block that caught the error, whose traceback keeps the failed step's
    tensors alive.

    >>> def step(images: int) -> None:
    ...     if images > 100:
    ...         raise MemoryError
    >>> fitting_batch(step, 512)
    64

    Args:
        step: Takes one training step with this many images. What it allocates must be free again once it
            has returned or raised.
        batch_size: A batch that does not fit.

    Returns:
        The largest of batch_size / 2, / 4 and so on, rounded down, whose step ran; None if none did down to
        two images. Errors of other kinds are raised on.
    """
    images = batch_size // 2
    while images >= SMALLEST_BATCH:
        free_unused()
        if _runs(step, images):
            return images
        images //= 2
    return None


def free_unused() -> None:
    """Free tensors that only reference cycles hold, and return a GPU's cached memory."""
    gc.collect()
    torch.cuda.empty_cache()


def _runs(step: Callable[[int], None], images: int) -> bool:
    """Return whether a step runs.

    Its error ends here: the traceback would keep the step's tensors alive during the next trial.
    """
    try:
        step(images)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
