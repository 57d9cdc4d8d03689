"""What is particular about optimising small convolutional networks for a short time."""

import torch
from torch import nn


def adamw(module: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays convolution and linear weights only.

    Decay on a batch norm's scale or on a bias limits no capacity; it pulls the few numbers that
    set the scale of whole channels towards zero.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # Fused is one pass over all tensors: the plain loop costs more than twice as much.
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def zero_residual_branches(module: nn.Module) -> int:
    """Start residual branches at zero: a fresh network is shallow (Goyal et al. 2017, 5.1).

    Zeroes the scale of each batch norm whose attribute `residual_last` is true: the network's
    builder sets it on the norm that ends a linear residual branch.

    Returns:
        How many branches were zeroed.
    """
    last = [
        norm
        for norm in module.modules()
        if isinstance(norm, nn.BatchNorm2d) and getattr(norm, "residual_last", False)
    ]
    for norm in last:
        nn.init.zeros_(norm.weight)
    return len(last)
