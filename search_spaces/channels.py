"""The channel spaces of a network's tensors.

A *channel space* is a set of channels that can only be narrowed together: those of an expansion, of a
squeeze, or of a chain of residuals. A depthwise convolution, its batch norm and the inputs of the next
layer share the space of their input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from search_spaces.heads.channel_spaces import (
    NamedSpaces,
    Spaces,
    convolution,
    head_channel_counts,
    head_tensors,
    with_bias,
)
from search_spaces.heads.taps import taps
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec


def out_spaces(spec: ArchSpec) -> tuple[str, ...]:
    """Return the output space of the stem and of each block; `spec.widths()` are their sizes.

    A skip adds a block's input to its output, so both share a space.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> out_spaces(mobilenet_v3_large())[:4]
    ('stem out', 'stem out', 'block 1 out', 'block 1 out')
    """
    spaces = ["stem out"]
    for index, block in enumerate(spec.blocks):
        spaces.append(f"block {index} out" if block.skip == "none" else spaces[-1])
    return tuple(spaces)


def stage_blocks(spec: ArchSpec) -> tuple[tuple[int, ...], ...]:
    """Return the blocks of each stage: those whose outputs share a space, beginning with the stem's.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> stage_blocks(mobilenet_v3_large())[:3]
    ((0,), (1, 2), (3, 4, 5))
    """
    spaces = out_spaces(spec)
    stages: dict[str, list[int]] = {space: [] for space in spaces}
    for index, space in enumerate(spaces[1:]):
        stages[space].append(index)
    return tuple(map(tuple, stages.values()))


def channel_counts(spec: ArchSpec) -> dict[str, int]:
    """Return the number of channels in each space.

    >>> from search_spaces.references import mobilenet_v3_small
    >>> sizes = channel_counts(mobilenet_v3_small())
    >>> sizes["stem out"], sizes["block 1 expansion"], sizes["block 0 squeeze"], sizes["head hidden"]
    (16, 72, 8, 1024)
    """
    sizes = {"image": 3, **dict(zip(out_spaces(spec), spec.widths(), strict=True))}
    for index, block in enumerate(spec.blocks):
        sizes[f"block {index} expansion"] = block.expand
        sizes[f"block {index} squeeze"] = block.se
    if isinstance(spec.head, HeadSpec):
        sizes |= {"head conv": spec.head.conv, "head hidden": spec.head.hidden}
        sizes |= {"classes": spec.head.classes}
    else:
        sizes |= head_channel_counts(spec.head)
    return {space: size for space, size in sizes.items() if size}


def excited_channels(block: BlockSpec, *, cin: int, expand: int, out: int) -> int:
    """Return how many channels a block's squeeze-and-excite scales: one of its three widths."""
    return {"mbconv": expand, "sepconv": cin, "conv": out}[block.op]


def tensor_spaces(spec: ArchSpec) -> dict[str, Spaces]:
    """Return the spaces of every tensor of the network's state dict, in its order.

    >>> from search_spaces.references import mobilenet_v2
    >>> spaces = tensor_spaces(mobilenet_v2())
    >>> spaces["blocks.1.layers.0.0.weight"]  # the expansion, (out, in, 1, 1)
    ('block 1 expansion', 'block 0 out')
    >>> spaces["blocks.1.layers.1.0.weight"]  # the depthwise convolution, (channels, 1, 3, 3)
    ('block 1 expansion',)
    """
    return dict(_tensors(spec))


def _tensors(spec: ArchSpec) -> NamedSpaces:
    stem, *outs = out_spaces(spec)
    yield from convolution("stem", (stem, "image"))
    cin = stem
    for index, (block, out) in enumerate(zip(spec.blocks, outs, strict=True)):
        yield from _block(index, block, cin=cin, out=out)
        cin = out
    if isinstance(spec.head, HeadSpec):
        yield from _classifier(spec.head, cin)
    else:
        yield from head_tensors(spec.head, tuple(_tapped(spec)), cin)


def _tapped(spec: ArchSpec) -> Iterator[str]:
    """Yield the space of each map that the head reads inside the body."""
    outs = out_spaces(spec)
    for tap in taps(spec):
        expanded = tap.at != "input" and spec.blocks[tap.block].expand > 0
        if tap.at == "output":
            yield outs[tap.block + 1]
        else:
            yield f"block {tap.block} expansion" if expanded else outs[tap.block]


def class_tensors(spec: ArchSpec) -> tuple[str, ...]:
    """Return the tensors that depend on the classes: weight and bias of the layers that score them.

    >>> from search_spaces.references import mobilenet_v2
    >>> class_tensors(mobilenet_v2())
    ('head.classifier.1.weight', 'head.classifier.1.bias')
    """
    return tuple(
        name
        for name, spaces in tensor_spaces(spec).items()
        if spaces[:1] and (spaces[0] == "classes" or spaces[0].endswith(" scores"))
    )


def classes_with(spec: ArchSpec, channels: int) -> int | None:
    """Return for how many classes the last of `class_tensors` has this many channels; None for no number.

    >>> from search_spaces.heads.transforms import ssdlite
    >>> from search_spaces.references import mobilenet_v2
    >>> classes_with(mobilenet_v2(), 43)
    43
    >>> detector = ssdlite(mobilenet_v2(), classes=90)  # six anchors, each with a column for the background
    >>> classes_with(detector, 6 * 11), classes_with(detector, 65)
    (10, None)
    """
    space = tensor_spaces(spec)[class_tensors(spec)[-1]][0]
    one, two = (
        channel_counts(replace(spec, head=replace(spec.head, classes=classes)))[space]
        for classes in (1, 2)
    )
    more, left = divmod(channels - one, two - one)
    return None if left or more < 0 else 1 + more


def _block(index: int, block: BlockSpec, *, cin: str, out: str) -> NamedSpaces:
    expansion = f"block {index} expansion"
    inner = {"mbconv": expansion, "sepconv": cin, "conv": out}[block.op]
    first: dict[str, list[Spaces]] = {
        "mbconv": [(inner, cin), (inner,)],
        "sepconv": [(inner,)],
        "conv": [(out, cin)],
    }
    layers = first[block.op]
    for layer, spaces in enumerate(layers):
        yield from convolution(f"blocks.{index}.layers.{layer}", spaces)
    layer = len(layers)
    if block.se:
        squeeze, prefix = f"block {index} squeeze", f"blocks.{index}.layers.{layer}"
        yield from with_bias(f"{prefix}.squeeze", (squeeze, inner))
        yield from with_bias(f"{prefix}.excite", (inner, squeeze))
        layer += 1
    if block.op != "conv":
        yield from convolution(f"blocks.{index}.layers.{layer}", (out, inner))


def _classifier(head: HeadSpec, cin: str) -> NamedSpaces:
    if head.conv:
        yield from convolution("head.conv", ("head conv", cin))
        cin = "head conv"
    if head.hidden:
        yield from with_bias("head.classifier.0", ("head hidden", cin))
        cin = "head hidden"
    # Dropout precedes the last layer; so do the hidden layer and its activation, where there is one.
    yield from with_bias(f"head.classifier.{3 if head.hidden else 1}", ("classes", cin))
