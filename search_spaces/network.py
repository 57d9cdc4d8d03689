"""Build the `nn.Module` of a spec."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces.heads.network import LRASPP, RASPP, SSDLite
from search_spaces.heads.specs import LRASPPHead, RASPPHead, SSDLiteHead
from search_spaces.heads.taps import taps
from search_spaces.layers import ACTIVATIONS, Block, ConvBnAct
from search_spaces.references.origins import TORCH, Origin
from search_spaces.spec import ArchSpec, HeadSpec

Outputs = Tensor | tuple[Tensor, ...]
"""What a network returns: one tensor, or SSDLite's scores and boxes; each (batch, ...)."""


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
    generator = generator or torch.Generator().manual_seed(0)
    initialize(network, generator, origin)
    if not isinstance(network.head, Head):
        network.head.initialize(generator)
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
    """The network of `spec`; maps images (batch, 3, h, w) to what its head computes.

    A classifier returns logits (batch, classes), SSDLite scores (batch, anchors, classes + 1) and
    offsets (batch, anchors, 4), R-ASPP logits (batch, classes, rows, columns) of the size of the
    last map, LR-ASPP of the map of stride 8. It accepts any input size; `spec.resolution` is the one it is
    designed and measured for.
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
        self.tapped = {tap.block: tap.at for tap in taps(spec)}
        self.head = _head(spec, head_input)

    def forward(self, x: Tensor) -> Outputs:
        """Map images (batch, 3, h, w) to logits, or to what else the head computes."""
        x = self.stem(x)
        if not self.tapped:
            return self.head(self.blocks(x))  # type: ignore[no-any-return]
        maps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            if index in self.tapped:
                assert isinstance(block, Block)
                tapped, x = block.tapped(x, self.tapped[index])
                maps.append(tapped)
            else:
                x = block(x)
        return self.head(*maps, x)  # type: ignore[no-any-return]


def _head(spec: ArchSpec, cin: int) -> Head | SSDLite | LRASPP | RASPP:
    head, eps = spec.head, spec.bn_eps
    widths = [tap.channels for tap in taps(spec)]
    match head:
        case SSDLiteHead():
            return SSDLite(head, widths, cin, eps)
        case LRASPPHead():
            return LRASPP(head, widths, cin, eps)
        case RASPPHead():
            return RASPP(head, cin, eps)
        case HeadSpec():
            return Head(head, cin, eps)
