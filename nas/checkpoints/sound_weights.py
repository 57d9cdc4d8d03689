"""Whether a tensor can be a layer's weights: dense real numbers, all of them finite."""

from __future__ import annotations

import torch
from torch import Tensor


def converted(name: str, tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor in the type of the network's own; float16, bfloat16 and float64 become its float32.

    Args:
        name: Of the tensor in its file.
        tensor: Of the same shape as `like`.
        like: The network's.

    Raises:
        ValueError: It holds something else than numbers that a network can compute with.
    """
    if tensor.layout == torch.strided and tensor.numel() > (stored := stored_values(tensor)):
        # Before anything is computed on what may claim 2^40 values.
        raise ValueError(f"{name} is {shape(tensor)}, of which {stored} values are stored")
    if name.endswith("num_batches_tracked"):  # a count that no computation here reads
        counted = tensor.dtype == like.dtype and int(tensor) >= 0
        return tensor.clone() if counted else torch.zeros_like(like)
    dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
    if not dense or tensor.device.type == "meta":
        raise ValueError(f"{name} is no dense tensor of real numbers")
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(f"{name} holds {kind} values, as quantised weights do, not floats")
    values = tensor.to(like.dtype)
    if broken := int((~torch.isfinite(values)).sum()):
        kind = "NaN" if bool(torch.isnan(values).any()) else "infinity"
        raise ValueError(f"{name} has {kind} among its values ({broken} of {values.numel()})")
    if name.endswith("running_var") and bool((values < 0).any()):
        raise ValueError(f"{name}, a variance, is below 0: {float(values.min()):.3g}")
    return values.contiguous()


def stored_values(tensor: Tensor) -> int:
    """Numbers that a tensor has in its file, however large its shape claims to be.

    >>> stored_values(torch.zeros(1).expand(1_000_000))
    1
    """
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return 0
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


def shape(tensor: Tensor) -> str:
    """A tensor's size, for people.

    >>> shape(torch.zeros(8, 3)), shape(torch.zeros(()))
    ('8x3', 'a number')
    """
    return "x".join(map(str, tensor.shape)) or "a number"
