"""TensorFlow's RMSProp, which MnasNet and MobileNetV3 were trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor


class TFRMSprop(torch.optim.Optimizer):
    """RMSProp as `tf.train.RMSPropOptimizer` computes it.

        mean_square = decay * mean_square + (1 - decay) * gradient^2
        step        = momentum * step + rate * gradient / sqrt(mean_square + epsilon)
        weight      = weight - step

    It differs from `torch.optim.RMSprop` in three ways: epsilon is inside of the root, the mean square
    starts at 1 and not at 0, and the rate is part of the accumulated step. A large epsilon such as 0.001
    makes the first difference matter. Weight decay is an L2 loss, added to the gradient.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        decay: Of the mean square.
        momentum: Of the step.
        eps: Added to the mean square.
        weight_decay: Weight of the L2 loss.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "decay": decay,
            "momentum": momentum,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step for all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        weights = [p for p in group["params"] if p.grad is not None]
        if not weights:
            return
        gradients = [p.grad for p in weights]
        squares, velocities = [], []
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["mean_square"] = torch.ones_like(weight)
                state["velocity"] = torch.zeros_like(weight)
            squares.append(state["mean_square"])
            velocities.append(state["velocity"])
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])  # type: ignore[assignment]
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_addcdiv_(velocities, gradients, roots, value=group["lr"])
        torch._foreach_sub_(weights, velocities)
