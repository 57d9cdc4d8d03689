"""The convolutions and linear layers of stem, blocks and heads, as `cost` counts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from search_spaces.heads.specs import HeadSpec
from search_spaces.spec import BlockSpec, StemSpec


class Size(NamedTuple):
    """Height and width of a feature map in pixels."""

    height: int
    width: int

    def strided(self, stride: int) -> Size:
        """Return the size of the output at a stride, under padding kernel // 2.

        >>> Size(5, 8).strided(2)
        Size(height=3, width=4)
        """
        return Size(-(-self.height // stride), -(-self.width // stride))


POINT = Size(1, 1)


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer.

    A linear layer is a 1x1 convolution on a 1x1 map.
    """

    name: str
    cin: int
    cout: int
    kernel: int
    stride: int
    groups: int
    size: Size
    """Of the input map."""
    norm: bool
    """Whether batch norm follows (and replaces the bias)."""
    bias: bool = True
    """Whether it has a bias where no batch norm follows."""

    @property
    def in_px(self) -> int:
        """Height of the input map."""
        return self.size.height

    @property
    def out_px(self) -> int:
        """Height of the output map, under padding kernel // 2."""
        return self.size.strided(self.stride).height

    @property
    def params(self) -> int:
        """Number of weights, plus batch norm's scale and shift or the bias."""
        weights = self.cout * (self.cin // self.groups) * self.kernel**2
        return weights + self.cout * (2 * self.norm or self.bias)

    @property
    def madds(self) -> int:
        """MAdds per image."""
        height, width = self.size.strided(self.stride)
        return height * width * self.cout * (self.cin // self.groups) * self.kernel**2


def stem_layers(stem: StemSpec, cin: int, size: Size) -> Iterator[Layer]:
    """Yield the first convolution."""
    yield Layer("stem", cin, stem.out, stem.kernel, stem.stride, 1, size, norm=True)


def block_layers(block: BlockSpec, cin: int, size: Size) -> Iterator[Layer]:
    """Yield the layers of one block with `cin` input channels on maps of a size."""
    k, s = block.kernel, block.stride
    if block.op == "conv":
        yield Layer("conv", cin, block.out, k, s, 1, size, norm=True)
        yield from _se_layers(block, block.out)
        return
    inner = cin
    if block.op == "mbconv":
        inner = block.expand
        yield pointwise("expand", cin, inner, size)
    yield Layer("depthwise", inner, inner, k, s, inner, size, norm=True)
    yield from _se_layers(block, inner)
    yield pointwise("project", inner, block.out, size.strided(s))


def _se_layers(block: BlockSpec, channels: int) -> Iterator[Layer]:
    if block.se:
        yield biased("squeeze", channels, block.se, POINT)
        yield biased("excite", block.se, channels, POINT)


def classifier_layers(head: HeadSpec, channels: int, size: Size) -> Iterator[Layer]:
    """Yield the layers of a classifier's head on maps of a size."""
    if head.conv:
        yield pointwise("conv", channels, head.conv, size)
        channels = head.conv
    if head.hidden:
        yield biased("hidden", channels, head.hidden, POINT)
        channels = head.hidden
    yield biased("classifier", channels, head.classes, POINT)


def pointwise(name: str, cin: int, cout: int, size: Size) -> Layer:
    """Return a 1x1 convolution with batch norm."""
    return Layer(name, cin, cout, 1, 1, 1, size, norm=True)


def biased(name: str, cin: int, cout: int, size: Size) -> Layer:
    """Return a 1x1 convolution with bias."""
    return Layer(name, cin, cout, 1, 1, 1, size, norm=False)
