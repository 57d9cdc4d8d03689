"""A network's work on a phone's core, in six kinds whose rates published latencies identify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from latency.measuring.source import MeasurementError
from search_spaces.cost import Layer, layers_by_stage
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec

KINDS = ("dense", "depthwise", "moved", "vector", "hswish", "unfused")
"""In the order of `work`, each in millions, so that a rate is in nanoseconds per operation.

`dense` and `depthwise`: MAdds of convolutions on feature maps. `moved`: elements that convolutions, skips
and squeeze-and-excite read and write; they bound 1x1 convolutions of few channels. `vector`: MAdds on 1x1
maps, each of which loads its own weight. `hswish`, `unfused`: elements through h-swish as one operation or
as several. ReLU is fused into the convolution before it and costs nothing.
"""

_NONLINEARITY = {"hswish": "hswish", "hswish_unfused": "unfused", "swish": "unfused"}
_VECTOR = ("squeeze", "excite", "hidden", "classifier")
_Part = StemSpec | BlockSpec | HeadSpec


def work(spec: ArchSpec) -> npt.NDArray[np.float64]:
    """Return millions of operations of each kind, shape (6,).

    >>> from search_spaces.references import mobilenet_v2
    >>> dict(zip(KINDS, work(mobilenet_v2()).round(1).tolist()))
    {'dense': 278.8, 'depthwise': 20.7, 'moved': 14.1, 'vector': 1.3, 'hswish': 0.0, 'unfused': 0.0}

    Raises:
        MeasurementError: The network is no classifier.
    """
    if not isinstance(spec.head, HeadSpec):
        raise MeasurementError(
            f"published latencies are of classifiers, the network has a {spec.head.kind} head: measure it"
        )
    total: Counter[str] = Counter()
    parts: tuple[_Part, ...] = (spec.stem, *spec.blocks, spec.head)
    for (_, layers), part in zip(layers_by_stage(spec), parts, strict=True):
        for layer in layers:
            total[_kind(layer)] += layer.madds
            total["moved"] += 0 if layer.name in _VECTOR else _in(layer) + _out(layer)
            if _activated(layer, part) and part.act in _NONLINEARITY:
                total[_NONLINEARITY[part.act]] += _out(layer)
        if isinstance(part, BlockSpec):
            total["moved"] += sum(_moved_between(part, layers))
    return np.array([total[kind] for kind in KINDS]) / 1e6


def _kind(layer: Layer) -> str:
    if layer.name in _VECTOR:
        return "vector"
    return "depthwise" if layer.groups > 1 else "dense"


def _in(layer: Layer) -> int:
    return layer.in_px**2 * layer.cin


def _out(layer: Layer) -> int:
    return layer.out_px**2 * layer.cout


def _activated(layer: Layer, part: _Part) -> bool:
    """Whether the part's own nonlinearity follows the layer."""
    if layer.name in ("squeeze", "excite", "classifier"):
        return False
    last = layer.name == "project" or (isinstance(part, BlockSpec) and part.op == "conv")
    return not (last and isinstance(part, BlockSpec) and part.linear)


def _moved_between(block: BlockSpec, layers: tuple[Layer, ...]) -> Iterator[int]:
    """Yield elements read and written outside the convolutions."""
    # The last two convolutions; a block with a single one has it twice.
    *_, excited, last = (layers[0], *(layer for layer in layers if layer.name not in _VECTOR))
    if block.se:  # read to pool, then read and written to scale
        yield 3 * _out(excited)
    if block.skip != "none":  # two read, one written
        yield 3 * _out(last)
    if block.skip == "pool":  # the input read, its average written
        yield _in(layers[0]) + _out(last)


def parts_of(spec: ArchSpec) -> frozenset[str]:
    """Return the kinds of parts in a network, in words, for comparison with the published networks.

    >>> from search_spaces.references import mobilenet_v1
    >>> sorted(parts_of(mobilenet_v1()))
    ['3x3 depthwise', 'relu6']
    """
    found: set[str] = {spec.stem.act, spec.head.act}
    for block in spec.blocks:
        kind = "convolution in the body" if block.op == "conv" else "depthwise"
        found |= {f"{block.kernel}x{block.kernel} {kind}", block.act}
        found |= {f"{block.skip} skip"} if block.skip != "none" else set()
        found |= {"squeeze-and-excite"} if block.se else set()
    return frozenset(found)
