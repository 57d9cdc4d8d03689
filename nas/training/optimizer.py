"""Optimizer and initialization for short trainings of small convolutional networks."""

import torch
from torch import nn


def adamw(module: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW with weight decay on convolution and linear weights only.

    Decay of batch norm scales and biases does not limit capacity; it pulls the few numbers that scale whole
    channels towards zero.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # Fused makes one pass over all tensors; the plain loop takes more than twice as long.
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def zero_residual_branches(module: nn.Module) -> int:
    """Initialize residual branches to zero, so that a new network starts shallow (Goyal et al. 2017, 5.1).

    Zeroes the scale of each batch norm whose attribute `residual_last` is true, which the builder sets on
    the norm at the end of a linear residual branch.

    Returns:
        Number of zeroed branches.
    """
    last = [
        norm
        for norm in module.modules()
        if isinstance(norm, nn.BatchNorm2d) and getattr(norm, "residual_last", False)
    ]
    for norm in last:
        nn.init.zeros_(norm.weight)
    return len(last)
