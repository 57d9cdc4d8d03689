"""Check that a tensor can be a layer's weights: dense, real and finite."""

from __future__ import annotations

import torch
from torch import Tensor


def converted(name: str, tensor: Tensor, like: Tensor) -> Tensor:
    """Convert a tensor to the type of the network's; float16, bfloat16 and float64 become float32.

    Args:
        name: The tensor's name in its file.
        tensor: A tensor of the same shape as `like`.
        like: The network's tensor.

    Raises:
        ValueError: It holds something other than numbers that a network can compute with.
    """
    if tensor.layout == torch.strided and tensor.numel() > (stored := stored_values(tensor)):
        # Check before any computation: a shape may claim 2^40 values.
        raise ValueError(f"{name} is {shape(tensor)}, of which {stored} values are stored")
    if name.endswith("num_batches_tracked"):  # not used in any computation here
        counted = tensor.dtype == like.dtype and int(tensor) >= 0
        return tensor.clone() if counted else torch.zeros_like(like)
    dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
    if not dense or tensor.device.type == "meta":
        raise ValueError(f"{name} is not a dense tensor of real numbers")
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(f"{name} holds {kind} values, as in quantized weights, not floats")
    values = tensor.to(like.dtype)
    if broken := int((~torch.isfinite(values)).sum()):
        kind = "NaN" if bool(torch.isnan(values).any()) else "infinity"
        raise ValueError(f"{name} has {kind} among its values ({broken} of {values.numel()})")
    if name.endswith("running_var") and bool((values < 0).any()):
        raise ValueError(f"{name}, a variance, is negative: {float(values.min()):.3g}")
    return values.contiguous()


def stored_values(tensor: Tensor) -> int:
    """Count the values stored for a tensor, whatever its shape claims.

    >>> stored_values(torch.zeros(1).expand(1_000_000))
    1
    """
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return 0
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


def shape(tensor: Tensor) -> str:
    """Format a tensor's shape.

    >>> shape(torch.zeros(8, 3)), shape(torch.zeros(()))
    ('8x3', 'a number')
    """
    return "x".join(map(str, tensor.shape)) or "a number"
