"""Parameters and MAdds of a spec, counted without building the network.

As in the papers and torchvision's tables, MAdds are those of convolutions and linear layers; batch norm,
activations, pooling and additions are not counted. Parameters are all trainable ones, including batch
norm's two per channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from search_spaces.counted_layers import (
    Layer,
    Size,
    block_layers,
    classifier_layers,
    stem_layers,
)
from search_spaces.heads.layers import head_layers
from search_spaces.heads.specs import DenseHead, HeadSpec
from search_spaces.heads.taps import taps
from search_spaces.spec import ArchSpec, BlockSpec, StemSpec

__all__ = ["Cost", "Layer", "Size", "StageCost", "count", "layers_by_stage"]


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


def count(spec: ArchSpec, *, width_px: int | None = None) -> Cost:
    """Count parameters and MAdds at the network's own resolution.

    >>> from search_spaces.references import mobilenet_v3_small
    >>> cost = count(mobilenet_v3_small())
    >>> cost.params, round(cost.madds / 1e6, 2)
    (2542856, 56.51)

    Args:
        spec: The network; its resolution is the input's height.
        width_px: Width of the input in pixels; square by default.
    """
    stages = tuple(_counted(part) for part in _parts(spec, width_px))
    return Cost(sum(s.params for s in stages), sum(s.madds for s in stages), stages)


def layers_by_stage(
    spec: ArchSpec, *, width_px: int | None = None
) -> Iterator[tuple[str, tuple[Layer, ...]]]:
    """Yield the layers of the stem, each block (`block 0`, ...) and the head, in order."""
    for part in _parts(spec, width_px):
        yield part.name, _layers(part)


class _Part(NamedTuple):
    """A part of a network and the size of its input; `low` has the maps that a head reads in the body."""

    name: str
    part: StemSpec | BlockSpec | HeadSpec | DenseHead
    cin: int
    size: Size
    low: tuple[tuple[int, Size], ...] = ()


def _parts(spec: ArchSpec, width_px: int | None) -> Iterator[_Part]:
    """Yield stem, blocks and head."""
    image = Size(spec.resolution, width_px or spec.resolution)
    yield _Part("stem", spec.stem, 3, image)
    channels, size = spec.stem.out, image.strided(spec.stem.stride)
    for index, block in enumerate(spec.blocks):
        yield _Part(f"block {index}", block, channels, size)
        channels, size = block.out, size.strided(block.stride)
    low = tuple((tap.channels, image.strided(tap.stride)) for tap in taps(spec))
    yield _Part("head", spec.head, channels, size, low)


def _layers(part: _Part) -> tuple[Layer, ...]:
    match part.part:
        case StemSpec():
            return tuple(stem_layers(part.part, part.cin, part.size))
        case BlockSpec():
            return tuple(block_layers(part.part, part.cin, part.size))
        case HeadSpec():
            return tuple(classifier_layers(part.part, part.cin, part.size))
        case _:
            return tuple(head_layers(part.part, part.low, part.cin, part.size))


@lru_cache(maxsize=20_000)  # the networks of a space share blocks
def _counted(part: _Part) -> StageCost:
    return _stage(part.name, _layers(part))


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
