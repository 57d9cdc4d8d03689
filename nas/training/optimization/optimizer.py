"""Optimizer of a recipe, and the initialization of residual branches."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from nas.tasks.outputs import spec_of
from nas.training.optimization.rmsprop import TFRMSprop
from nas.training.recipe import AdamW, Recipe, RMSProp
from search_spaces import HeadSpec


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer, with weight decay on convolution and linear weights only.

    Decay of batch norm scales and biases does not limit capacity; it pulls the few numbers that scale whole
    channels towards zero. Each group of parameters has the key `scale`: its learning rate as a fraction
    of the peak rate, which is `recipe.body_rate` for all layers but the classifier.
    """
    groups = _groups(module, recipe)
    rate, kind = recipe.peak_rate, recipe.optimizer
    if isinstance(kind, AdamW):
        # Fused makes one pass over all tensors; the plain loop takes more than twice as long.
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    if isinstance(kind, RMSProp):
        return TFRMSprop(
            groups, lr=rate, decay=kind.decay, momentum=kind.momentum, eps=kind.epsilon
        )
    nesterov = kind.momentum > 0
    return torch.optim.SGD(groups, lr=rate, momentum=kind.momentum, nesterov=nesterov)


def _groups(module: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Split the parameters by whether they decay, and by their learning rate if it differs."""
    head = {id(p) for p in head_parameters(module)} if recipe.body_rate < 1 else set()
    groups = []
    for scale, in_head in ((recipe.body_rate, False), (1.0, True)):
        part = [p for p in module.parameters() if (id(p) in head) == in_head]
        for decay, kept in ((recipe.weight_decay, True), (0.0, False)):
            chosen = [p for p in part if p.requires_grad and (p.ndim > 1) == kept]
            groups.append({"params": chosen, "weight_decay": decay, "scale": scale})
    return [group for group in groups if group["params"]]


def head_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that a new head draws anew.

    They are those behind the last convolution of a detector's or a segmentation network's body, and of a
    classifier the last linear layer's; none if there is no such layer.
    """
    spec = spec_of(module)
    if spec is not None and not isinstance(spec.head, HeadSpec):
        behind = re.compile(r"head\.(?!conv\.)")
        return [weight for name, weight in module.named_parameters() if behind.match(name)]
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return list(layers[-1].parameters()) if layers else []


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
