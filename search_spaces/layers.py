"""The layers of which networks are built."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.field_types import Padding
from search_spaces.heads.taps import At
from search_spaces.spec import BlockSpec


class UnfusedHardswish(nn.Module):
    """h-swish as x * ReLU6(x + 3) / 6, which a runtime without the fused operation computes."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply elementwise."""
        return x * functional.relu6(x + 3) / 6


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hswish": nn.Hardswish,
    "hswish_unfused": UnfusedHardswish,
    "swish": nn.SiLU,
}
GATES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "hsigmoid": nn.Hardsigmoid}


def draw_normal(layers: nn.Module, std: float, generator: torch.Generator) -> None:
    """Draw the weights of all convolutions in `layers` from a normal distribution; biases are 0."""
    for module in layers.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class SameConv2d(nn.Conv2d):
    """Convolution under TensorFlow's SAME padding, which depends on the input's size."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad for the input's size, then convolve."""
        side = self.dilation[0] * (self.kernel_size[0] - 1) + 1
        return super().forward(functional.pad(x, same_padding(x, side, self.stride[0])))


def same_padding(x: Tensor, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Return TensorFlow's SAME padding of maps (batch, c, h, w): left, right, top, bottom.

    >>> same_padding(torch.zeros(1, 1, 224, 7), 3, 2)
    (1, 1, 0, 1)
    """
    sides = []
    for side in (x.shape[-1], x.shape[-2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        sides += [total // 2, total - total // 2]
    left, right, top, bottom = sides
    return left, right, top, bottom


class DilatedConv2d(nn.Conv2d):
    """Dilated convolution that keeps the size of its maps, and whose gradients are fast on a CPU.

    With dilation d, an output depends only on inputs whose rows and columns differ from its own by
    multiples of d. The map falls apart into d^2 smaller ones, each convolved without dilation, for which
    oneDNN has fast kernels. The result is the same. Small maps take a quarter of the time, large ones about
    as long as before.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps (batch, cin, h, w) to (batch, cout, h, w)."""
        if not (self.training and torch.is_grad_enabled() and x.device.type == "cpu"):
            return super().forward(x)
        rate, (height, width) = self.dilation[0], x.shape[-2:]
        lines = functional.pad(x, (0, -width % rate, 0, -height % rate)).permute(0, 2, 3, 1)
        batch, h, w = len(x), lines.shape[1] // rate, lines.shape[2] // rate
        split = lines.reshape(batch, h, rate, w, rate, -1).permute(0, 2, 4, 1, 3, 5)
        parts = split.reshape(batch * rate**2, h, w, -1).permute(0, 3, 1, 2)
        edge = self.kernel_size[0] // 2
        convolved = functional.conv2d(parts, self.weight, padding=edge, groups=self.groups)
        whole = convolved.permute(0, 2, 3, 1).reshape(batch, rate, rate, h, w, -1)
        joined = whole.permute(0, 3, 1, 4, 2, 5).reshape(batch, h * rate, w * rate, -1)
        return joined.permute(0, 3, 1, 2)[..., :height, :width]


def _convolution(
    cin: int, cout: int, kernel: int, *, stride: int, dilation: int, groups: int, padding: Padding
) -> nn.Conv2d:
    """Return a convolution without bias."""
    # At stride 1 an odd kernel is padded alike on both sides, as in torch.
    same = padding == "same" and stride > 1
    edge = 0 if same else dilation * (kernel // 2)
    plain = DilatedConv2d if dilation > 1 and stride == 1 else nn.Conv2d
    made = SameConv2d if same else plain
    return made(cin, cout, kernel, stride, edge, dilation, groups, bias=False)


class ConvBnAct(nn.Sequential):
    """Convolution without bias, batch norm, and an activation unless `act` is None.

    Maps (batch, `cin`, h, w) to (batch, `cout`, ceil(h / stride), ceil(w / stride)).
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        act: str | None,
        eps: float,
        padding: Padding = "torch",
    ) -> None:
        conv = _convolution(
            cin, cout, kernel, stride=stride, dilation=dilation, groups=groups, padding=padding
        )
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(cout, eps=eps)]
        if act is not None:
            layers.append(ACTIVATIONS[act]())
        super().__init__(*layers)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channels' means (arXiv 1709.01507).

    The shape stays (batch, `channels`, h, w). The squeezed layer has a ReLU, whatever the block's
    activation, as in MnasNet and MobileNetV3.
    """

    def __init__(self, channels: int, reduced: int, gate: str) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, reduced, 1)
        self.act = nn.ReLU()
        self.excite = nn.Conv2d(reduced, channels, 1)
        self.gate = GATES[gate]()

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of maps (batch, channels, h, w)."""
        squeezed = self.act(self.squeeze(self.pool(x)))  # (batch, reduced, 1, 1)
        scale = self.gate(self.excite(squeezed))  # (batch, channels, 1, 1)
        scaled: Tensor = x * scale
        return scaled


class Block(nn.Module):
    """One `BlockSpec` with `cin` input channels: its layers, then the skip.

    The last batch norm of a linear residual branch has `residual_last = True`: a trainer may initialize it
    to zero, so that a deep network starts as a shallow one. (If an activation followed, zero would block
    ReLU's gradient.)
    """

    def __init__(self, block: BlockSpec, cin: int, eps: float, padding: Padding = "torch") -> None:
        super().__init__()
        self.op, self.skip, self.stride, self.padding = block.op, block.skip, block.stride, padding
        self.layers = nn.Sequential(*_block_layers(block, cin, eps, padding))
        if block.linear and block.skip != "none":
            last_norm = [m for m in self.layers.modules() if isinstance(m, nn.BatchNorm2d)][-1]
            last_norm.residual_last = True  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, cin, h, w) to (batch, out, ceil(h / stride), ceil(w / stride))."""
        return self._with_skip(x, self.layers(x))

    def tapped(self, x: Tensor, at: At) -> tuple[Tensor, Tensor]:
        """Return the map at a place in the block, and the block's output."""
        wanted = self._layer(at)
        tapped, y = x, x
        for index, layer in enumerate(self.layers):
            y = layer(y)
            if index == wanted:
                tapped = y
        y = self._with_skip(x, y)
        return (y if at == "output" else tapped), y

    def _layer(self, at: At) -> int | None:
        """Return the index of the layer whose output is wanted; None for the block's input or output."""
        return {"expansion": 0, "depthwise": int(self.op == "mbconv")}.get(at)

    def _with_skip(self, x: Tensor, y: Tensor) -> Tensor:
        if self.skip == "identity":
            return x + y
        if self.skip == "pool":
            return average_3x3(x, self.stride, self.padding) + y
        return y


def average_3x3(x: Tensor, stride: int, padding: Padding) -> Tensor:
    """Average 3x3 pixels of maps (batch, c, h, w), without those of the padding."""
    if padding == "torch" or stride == 1:
        return functional.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)
    edges = same_padding(x, 3, stride)
    inside = functional.pad(torch.ones_like(x[:1, :1]), edges)
    total = functional.avg_pool2d(functional.pad(x, edges), 3, stride)
    return total / functional.avg_pool2d(inside, 3, stride)


def _block_layers(block: BlockSpec, cin: int, eps: float, padding: Padding) -> list[nn.Module]:
    spatial = {"kernel": block.kernel, "stride": block.stride, "dilation": block.dilation}
    end = None if block.linear else block.act
    if block.op == "conv":
        layers: list[nn.Module] = [
            ConvBnAct(cin, block.out, **spatial, act=end, eps=eps, padding=padding)
        ]
        return layers + _excite(block, block.out)
    layers, inner = [], cin
    if block.op == "mbconv":
        inner = block.expand
        layers.append(ConvBnAct(cin, inner, act=block.act, eps=eps))
    layers.append(
        ConvBnAct(inner, inner, **spatial, groups=inner, act=block.act, eps=eps, padding=padding)
    )
    layers += _excite(block, inner)
    layers.append(ConvBnAct(inner, block.out, act=end, eps=eps))
    return layers


def _excite(block: BlockSpec, channels: int) -> list[nn.Module]:
    return [SqueezeExcite(channels, block.se, block.gate)] if block.se else []
