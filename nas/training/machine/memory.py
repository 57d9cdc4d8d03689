"""A batch that does not fit into memory: recognize the error, and find a batch that fits."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from nas.data.share import Share
from nas.training.recipe import Recipe

SMALLEST_BATCH = 2
"""Batch norm needs more than one image."""

WITHOUT_TEACHER = "give a smaller teacher, or train without one"
"""What to do where a teacher needs too much memory."""

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


def what_fits(
    step: Callable[[int], None],
    recipe: Recipe,
    share: Share,
    *,
    px: int | None,
    untaught: Callable[[int], None] | None = None,
) -> str:
    """Say that a batch does not fit into memory, and which would.

    Args:
        step: See `fitting_batch`.
        recipe: That of the batch.
        share: The part of it that this process has; with several processes, steps cannot be tried here.
        px: Side of the images, if they are not as they were stored.
        untaught: The same step without the teacher, if there is one: tried where no batch fits with it.
    """
    size = recipe.batch_size
    at = "" if px is None else f" at {px} px"
    problem = f"a batch of {size} images{at} does not fit into memory"
    at_once = -(-size // (share.world * recipe.accumulate))
    fits = fitting_batch(step, at_once) if share.world == 1 else None
    if fits is None and untaught is not None and share.world == 1:
        alone = fitting_batch(untaught, 2 * at_once)
        if alone is not None:
            return f"{problem} together with the teacher; without it {alone} do: {WITHOUT_TEACHER}"
    if fits is None:
        return f"{problem}: give a smaller batch_size, a higher accumulate, or smaller images"
    return f"{problem}: give batch_size {fits}, or accumulate {-(-size // fits)} to keep {size}"


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
