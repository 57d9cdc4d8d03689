"""Layers that see the whole batch, of which each process holds a part: batch norm and dropout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from nas.data.share import Share
from nas.training.data_parallel.reductions import summed

PER_CHANNEL = (1, -1, 1, 1)


@contextlib.contextmanager
def whole_batch_layers(module: nn.Module, share: Share) -> Iterator[None]:
    """Let batch norm and dropout of a module see the whole batch until exit.

    Args:
        module: Its layers change their behavior in place; their weights stay.
        share: This process's part; nothing changes for a single process.
    """
    changed: list[nn.Module] = []
    if share.world > 1:
        for layer in module.modules():
            if type(layer) is nn.BatchNorm2d:
                layer.__class__ = WholeBatchNorm2d
            elif type(layer) is nn.Dropout:
                layer.__class__ = WholeBatchDropout
            else:
                continue
            layer.share = share  # type: ignore[assignment]
            changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            layer.__class__ = nn.Dropout if isinstance(layer, nn.Dropout) else nn.BatchNorm2d
            del layer.share


class WholeBatchDropout(nn.Dropout):
    """Dropout whose mask is a part of that which a single process draws for the whole batch.

    All processes must have seeded torch's global generators alike.
    """

    share: Share

    def forward(self, inputs: Tensor) -> Tensor:
        """Drop values of (n, ...), n being this process's part of the batch."""
        if not self.training:
            return inputs
        count = len(inputs) * self.share.world
        ones = torch.ones(count, *inputs.shape[1:], dtype=inputs.dtype, device=inputs.device)
        return inputs * functional.dropout(ones, self.p)[self.share.part(count)]


class WholeBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the mean and variance of the whole batch, also on CPUs.

    `nn.SyncBatchNorm` is this for GPUs only.
    """

    share: Share

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize (n, C, H, W), n being this process's part of the batch."""
        if not self.training:
            return super().forward(inputs)
        outputs: Tensor
        outputs, mean, variance = _WholeBatchNorm.apply(
            inputs, self.weight, self.bias, self.eps, self.share
        )
        with torch.no_grad():
            self._follow(mean, variance, count=inputs.numel() // inputs.shape[1])
        return outputs

    def _follow(self, mean: Tensor, variance: Tensor, *, count: int) -> None:
        """Update the running statistics; `count` is this process's values per channel."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        # Without a momentum they are plain averages.
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        total = count * self.share.world
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * (total / (total - 1)), weight)


class _WholeBatchNorm(torch.autograd.Function):
    """Batch norm of a batch that is spread over processes.

    Forward needs the mean and variance over all processes. Backward is that of constant statistics,
    with the two terms by which the statistics depend on the input:

        dx = g / s * (dy - mean(dy) - xhat * mean(dy * xhat)),  xhat = (x - m) / s,  s = sqrt(v + eps)

    g is the weight; the means are over the whole batch, and over height and width.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, eps: float, share: Share
    ) -> tuple[Tensor, Tensor, Tensor]:
        own = torch.ops.aten.batch_norm_update_stats(inputs, None, None, 0.0)
        gathered = [torch.empty_like(torch.stack(own)) for _ in range(share.world)]
        distributed.all_gather(gathered, torch.stack(own))
        means, variances = torch.stack(gathered).unbind(1)  # (world, C)
        # A difference of mean squares would lose digits where the mean is large.
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        ctx.save_for_backward(inputs, weight, mean, variance)
        ctx.eps, ctx.share = eps, share
        ctx.mark_non_differentiable(mean, variance)
        outputs = functional.batch_norm(inputs, mean, variance, weight, bias, eps=eps)
        return outputs, mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, mean, variance = ctx.saved_tensors
        constant, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, inputs, weight, mean, variance, None, None, False, ctx.eps, [True] * 3
        )
        count = ctx.share.world * inputs.numel() // inputs.shape[1]
        sums = summed(torch.stack([of_weight, of_bias]), ctx.share) / count
        deviation = (variance + ctx.eps).rsqrt()
        slope, shift = -weight * deviation * torch.stack([deviation * sums[0], sums[1]])
        centred = inputs - mean.view(PER_CHANNEL)
        whole = torch.addcmul(constant + shift.view(PER_CHANNEL), centred, slope.view(PER_CHANNEL))
        return whole.to(inputs.dtype), of_weight, of_bias, None, None
