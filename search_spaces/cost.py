"""Parameters and MAdds of a spec, counted without building the network.

As in the papers and torchvision's tables, MAdds are those of convolutions and linear layers; batch norm,
activations, pooling and additions are not counted. Parameters are all trainable ones, including batch
norm's two per channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer; feature maps are square, sides in pixels.

    A linear layer is a 1x1 convolution on a 1x1 map.
    """

    name: str
    cin: int
    cout: int
    kernel: int
    stride: int
    groups: int
    in_px: int
    norm: bool
    """Whether batch norm follows (and replaces the bias)."""

    @property
    def out_px(self) -> int:
        """Side of the output map, with padding kernel // 2."""
        return -(-self.in_px // self.stride)

    @property
    def params(self) -> int:
        """Number of weights, plus batch norm's scale and shift or the bias."""
        weights = self.cout * (self.cin // self.groups) * self.kernel**2
        return weights + (2 * self.cout if self.norm else self.cout)

    @property
    def madds(self) -> int:
        """MAdds per image."""
        return self.out_px**2 * self.cout * (self.cin // self.groups) * self.kernel**2


@dataclass(frozen=True)
class StageCost:
    """Cost of the stem, a block or the head: one line of the layer table."""

    name: str
    in_px: int
    out_px: int
    cin: int
    cout: int
    params: int
    madds: int


@dataclass(frozen=True)
class Cost:
    """Cost of a network: totals, and a `StageCost` for the stem, each block and the head."""

    params: int
    madds: int
    stages: tuple[StageCost, ...]


def count(spec: ArchSpec) -> Cost:
    """Count parameters and MAdds at the network's own resolution.

    >>> from search_spaces.references import mobilenet_v3_small
    >>> cost = count(mobilenet_v3_small())
    >>> cost.params, round(cost.madds / 1e6, 2)
    (2542856, 56.51)
    """
    stages = tuple(_counted(*part) for part in _parts(spec))
    return Cost(sum(s.params for s in stages), sum(s.madds for s in stages), stages)


def layers_by_stage(spec: ArchSpec) -> Iterator[tuple[str, tuple[Layer, ...]]]:
    """Yield the layers of the stem, each block (`block 0`, ...) and the head, in order."""
    for name, part, channels, px in _parts(spec):
        yield name, _layers(part, channels, px)


_Part = StemSpec | BlockSpec | HeadSpec


def _parts(spec: ArchSpec) -> Iterator[tuple[str, _Part, int, int]]:
    """Yield name, part, input channels and input side in pixels of stem, blocks and head."""
    yield "stem", spec.stem, 3, spec.resolution
    channels, px = spec.stem.out, -(-spec.resolution // spec.stem.stride)
    for index, block in enumerate(spec.blocks):
        yield f"block {index}", block, channels, px
        channels, px = block.out, -(-px // block.stride)
    yield "head", spec.head, channels, px


def _layers(part: _Part, cin: int, in_px: int) -> tuple[Layer, ...]:
    if isinstance(part, StemSpec):
        return (Layer("stem", cin, part.out, part.kernel, part.stride, 1, in_px, True),)
    if isinstance(part, BlockSpec):
        return tuple(block_layers(part, cin, in_px))
    return tuple(_head_layers(part, cin, in_px))


@lru_cache(maxsize=20_000)  # the networks of a space share blocks
def _counted(name: str, part: _Part, cin: int, in_px: int) -> StageCost:
    return _stage(name, _layers(part, cin, in_px))


def block_layers(block: BlockSpec, cin: int, in_px: int) -> Iterator[Layer]:
    """Yield the layers of one block with `cin` input channels on maps of side `in_px`."""
    k, s, out_px = block.kernel, block.stride, -(-in_px // block.stride)
    if block.op == "conv":
        yield Layer("conv", cin, block.out, k, s, 1, in_px, True)
        yield from _se_layers(block, block.out)
        return
    inner = cin
    if block.op == "mbconv":
        inner = block.expand
        yield Layer("expand", cin, inner, 1, 1, 1, in_px, True)
    yield Layer("depthwise", inner, inner, k, s, inner, in_px, True)
    yield from _se_layers(block, inner)
    yield Layer("project", inner, block.out, 1, 1, 1, out_px, True)


def _se_layers(block: BlockSpec, channels: int) -> Iterator[Layer]:
    if block.se:
        yield Layer("squeeze", channels, block.se, 1, 1, 1, 1, False)
        yield Layer("excite", block.se, channels, 1, 1, 1, 1, False)


def _head_layers(head: HeadSpec, channels: int, px: int) -> Iterator[Layer]:
    if head.conv:
        yield Layer("conv", channels, head.conv, 1, 1, 1, px, True)
        channels = head.conv
    if head.hidden:
        yield Layer("hidden", channels, head.hidden, 1, 1, 1, 1, False)
        channels = head.hidden
    yield Layer("classifier", channels, head.classes, 1, 1, 1, 1, False)


def _stage(name: str, layers: tuple[Layer, ...]) -> StageCost:
    # Squeeze-and-excite is a side branch: where it comes last, the layer before it has the output.
    *_, last = (layer for layer in layers if layer.name not in ("squeeze", "excite"))
    return StageCost(
        name,
        layers[0].in_px,
        last.out_px,
        layers[0].cin,
        last.cout,
        sum(layer.params for layer in layers),
        sum(layer.madds for layer in layers),
    )
