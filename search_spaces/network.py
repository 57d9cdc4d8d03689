"""Build the `nn.Module` of a spec."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.references.origins import TORCH, Origin
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, Padding


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


def build(
    spec: ArchSpec, *, generator: torch.Generator | None = None, origin: Origin = TORCH
) -> Network:
    """Build a network with random weights, in train mode.

    Args:
        spec: The network's spec.
        generator: Generator of the weights; a new one seeded 0 by default. The global generator is neither
            used nor advanced.
        origin: Batch norm's momentum and the distributions of the weights; those of published networks are
            in `ORIGINS`.
    """
    with torch.random.fork_rng(devices=[]):  # the constructors draw weights that are replaced below
        network = Network(spec)
    initialize(network, generator or torch.Generator().manual_seed(0), origin)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = origin.bn_momentum
    return network


def initialize(network: nn.Module, generator: torch.Generator, origin: Origin = TORCH) -> None:
    """Initialize all weights; biases are 0, batch norm is the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            _draw_conv(module.weight, generator, origin)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            _draw_linear(module.weight, generator, origin)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def _draw_conv(weight: Tensor, generator: torch.Generator, origin: Origin) -> None:
    if origin.conv_std is None:
        nn.init.kaiming_normal_(weight, mode="fan_out", generator=generator)
    else:
        std = origin.conv_std
        nn.init.trunc_normal_(weight, 0.0, std, -2 * std, 2 * std, generator=generator)


def _draw_linear(weight: Tensor, generator: torch.Generator, origin: Origin) -> None:
    if origin.linear == "normal":
        nn.init.normal_(weight, 0.0, origin.linear_scale, generator=generator)
    else:
        bound = origin.linear_scale / weight.shape[0] ** 0.5
        nn.init.uniform_(weight, -bound, bound, generator=generator)


class SameConv2d(nn.Conv2d):
    """Convolution under TensorFlow's SAME padding, which depends on the input's size."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad for the input's size, then convolve."""
        return super().forward(
            functional.pad(x, same_padding(x, self.kernel_size[0], self.stride[0]))
        )


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


def _convolution(
    cin: int, cout: int, kernel: int, *, stride: int, groups: int, padding: Padding
) -> nn.Conv2d:
    """Return a convolution without bias."""
    # At stride 1 an odd kernel is padded alike on both sides, as in torch.
    if padding == "same" and stride > 1:
        return SameConv2d(cin, cout, kernel, stride, 0, groups=groups, bias=False)
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)


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
        groups: int = 1,
        act: str | None,
        eps: float,
        padding: Padding = "torch",
    ) -> None:
        conv = _convolution(cin, cout, kernel, stride=stride, groups=groups, padding=padding)
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
        self.skip, self.stride, self.padding = block.skip, block.stride, padding
        self.layers = nn.Sequential(*_block_layers(block, cin, eps, padding))
        if block.linear and block.skip != "none":
            last_norm = [m for m in self.layers.modules() if isinstance(m, nn.BatchNorm2d)][-1]
            last_norm.residual_last = True  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, cin, h, w) to (batch, out, ceil(h / stride), ceil(w / stride))."""
        y: Tensor = self.layers(x)
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
    k, s = block.kernel, block.stride
    end = None if block.linear else block.act
    if block.op == "conv":
        layers: list[nn.Module] = [
            ConvBnAct(cin, block.out, kernel=k, stride=s, act=end, eps=eps, padding=padding)
        ]
        return layers + _excite(block, block.out)
    layers, inner = [], cin
    if block.op == "mbconv":
        inner = block.expand
        layers.append(ConvBnAct(cin, inner, act=block.act, eps=eps))
    layers.append(
        ConvBnAct(
            inner, inner, kernel=k, stride=s, groups=inner, act=block.act, eps=eps, padding=padding
        )
    )
    layers += _excite(block, inner)
    layers.append(ConvBnAct(inner, block.out, act=end, eps=eps))
    return layers


def _excite(block: BlockSpec, channels: int) -> list[nn.Module]:
    return [SqueezeExcite(channels, block.se, block.gate)] if block.se else []


class Head(nn.Module):
    """Maps feature maps (batch, `cin`, h, w) to logits (batch, classes)."""

    def __init__(self, head: HeadSpec, cin: int, eps: float) -> None:
        super().__init__()
        self.conv = ConvBnAct(cin, head.conv, act=head.act, eps=eps) if head.conv else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        width = head.conv or cin
        hidden: list[nn.Module] = []
        if head.hidden:
            hidden = [nn.Linear(width, head.hidden), ACTIVATIONS[head.act]()]
            width = head.hidden
        self.classifier = nn.Sequential(
            *hidden, nn.Dropout(head.dropout), nn.Linear(width, head.classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, cin, h, w) to logits (batch, classes)."""
        features = self.pool(self.conv(x)).flatten(1)  # (batch, width)
        logits: Tensor = self.classifier(features)
        return logits


class Network(nn.Module):
    """The network of `spec`: maps images (batch, 3, h, w) to logits (batch, classes).

    It accepts any input size; `spec.resolution` is the one it is designed and measured for.
    """

    def __init__(self, spec: ArchSpec) -> None:
        super().__init__()
        self.spec = spec
        stem, eps = spec.stem, spec.bn_eps
        self.stem = ConvBnAct(
            3,
            stem.out,
            kernel=stem.kernel,
            stride=stem.stride,
            act=stem.act,
            eps=eps,
            padding=spec.padding,
        )
        *block_inputs, head_input = spec.widths()
        self.blocks = nn.Sequential(
            *(
                Block(b, cin, eps, spec.padding)
                for b, cin in zip(spec.blocks, block_inputs, strict=True)
            )
        )
        self.head = Head(spec.head, head_input, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, h, w) to logits (batch, classes)."""
        logits: Tensor = self.head(self.blocks(self.stem(x)))
        return logits
