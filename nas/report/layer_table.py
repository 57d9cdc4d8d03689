"""A network as a table in the form of the MobileNetV3 paper (arXiv 1905.02244, tables 1 and 2).

Stem and blocks have one row each, the last stage one per layer. Skip connection, parameters and MAdds are
added to the paper's columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

from search_spaces.cost import Layer, Size, layers_by_stage
from search_spaces.field_types import Act, Gate, Skip
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec

Part = Literal["stem", "block", "conv", "pool", "hidden", "classifier", "head"]
LAST_STAGE: tuple[Part, ...] = ("conv", "pool", "hidden", "classifier")

NONLINEARITIES: dict[Act, str] = {
    "relu": "RE",
    "relu6": "RE6",
    "hswish": "HS",
    "hswish_unfused": "HSu",
    "swish": "SW",
}
"""Abbreviations; ReLU and h-swish as in the paper."""

HEADINGS = ("input", "operator", "exp", "out", "SE", "NL", "s", "skip", "params", "MAdds")
"""Headings of `cells`."""

LEGEND = """\
exp: channels of the depthwise convolution   SE: squeeze-and-excite, its width
NL: RE ReLU, RE6 ReLU6, HS h-swish, SW swish   s: stride   NBN: no batch norm"""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        part: Part of the network. The four of `LAST_STAGE` make up a classifier's; the layers of other
            heads are `head`.
        reduction: Total stride before it: image side over input side.
        in_px: Side of the input map in pixels.
        cin: Channels of the input.
        operator: Name as in the paper.
        expand: Channels of the depthwise convolution; None if there is none.
        out: Channels of the output; None for the pool.
        se: Channels of the squeeze-and-excite bottleneck; 0 without one.
        gate: Final activation of the squeeze-and-excite. It has no column.
        act: The nonlinearity, if any.
        stride: Of the layer, or of the block's strided layer.
        skip: What is added to the output: the skip connection.
        params: Trainable parameters.
        madds: MAdds for one image.
    """

    part: Part
    reduction: int
    in_px: int
    cin: int
    operator: str
    expand: int | None
    out: int | None
    se: int
    gate: Gate
    act: Act | None
    stride: int
    skip: Skip
    params: int
    madds: int


def layer_table(spec: ArchSpec) -> tuple[Row, ...]:
    """Return the rows of a network.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> rows = layer_table(mobilenet_v3_large())
    >>> for row in (rows[1], rows[4], rows[-4], rows[-3], rows[-2]):
    ...     print(*cells(row)[:7], sep=" | ")
    112²x16 | bneck, 3x3 | 16 | 16 | - | RE | 1
    56²x24 | bneck, 5x5 | 72 | 40 | ✓ 24 | RE | 2
    7²x160 | conv2d, 1x1 | - | 960 | - | HS | 1
    7²x960 | pool, 7x7 | - | - | - | - | 1
    1²x960 | conv2d 1x1, NBN | - | 1280 | - | HS | 1
    """
    return tuple(_rows(spec))


def _rows(spec: ArchSpec) -> Iterator[Row]:
    (_, (stem,)), *blocks, (_, head) = layers_by_stage(spec)
    kernel = f"{stem.kernel}x{stem.kernel}"
    yield _plain("stem", stem, 1, f"conv2d, {kernel}", act=spec.stem.act)
    reduction, px = stem.stride, stem.out_px
    for block, (_, layers) in zip(spec.blocks, blocks, strict=True):
        yield _block(block, layers, reduction)
        reduction, px = reduction * block.stride, -(-px // block.stride)
    if isinstance(spec.head, HeadSpec):
        yield from _last_stage(spec.head, head, reduction, px)
    else:
        yield from _dense_head(spec, head)


def _plain(
    part: Part, layer: Layer, reduction: int, operator: str, *, act: Act | None = None
) -> Row:
    """Return the row of a layer outside of blocks."""
    return Row(
        part=part,
        reduction=reduction,
        in_px=layer.in_px,
        cin=layer.cin,
        operator=operator,
        expand=None,
        out=layer.cout,
        se=0,
        gate="none",
        act=act,
        stride=layer.stride,
        skip="none",
        params=layer.params,
        madds=layer.madds,
    )


def _block(block: BlockSpec, layers: tuple[Layer, ...], reduction: int) -> Row:
    depthwise = {"conv": None, "sepconv": layers[0].cin, "mbconv": block.expand}
    return Row(
        part="block",
        reduction=reduction,
        in_px=layers[0].in_px,
        cin=layers[0].cin,
        operator=f"{_operator(block)}, {block.kernel}x{block.kernel}",
        expand=depthwise[block.op],
        out=block.out,
        se=block.se,
        gate=block.gate,
        act=block.act,
        stride=block.stride,
        skip=block.skip,
        params=sum(layer.params for layer in layers),
        madds=sum(layer.madds for layer in layers),
    )


def _operator(block: BlockSpec) -> str:
    """Name a block as the paper does: a linear separable convolution is a bottleneck without expansion."""
    if block.op == "conv":
        return "conv2d"
    return "bneck" if block.linear else "sepconv"


def _last_stage(
    head: HeadSpec, layers: tuple[Layer, ...], reduction: int, px: int
) -> Iterator[Row]:
    by_name = {layer.name: layer for layer in layers}
    conv, hidden, classifier = (by_name.get(name) for name in ("conv", "hidden", "classifier"))
    assert classifier is not None
    after = hidden or classifier
    if conv:
        yield _plain("conv", conv, reduction, "conv2d, 1x1", act=head.act)
    pool = _plain("pool", replace(after, size=Size(px, px)), reduction, f"pool, {px}x{px}")
    yield replace(pool, out=None, params=0, madds=0)
    pooled = reduction * px
    if hidden:
        yield _plain("hidden", hidden, pooled, "conv2d 1x1, NBN", act=head.act)
    yield _plain("classifier", classifier, pooled, "conv2d 1x1, NBN")


_HEAD_ACTS: dict[str, Act] = {"extra": "relu6", "map": "relu6"}


def _dense_head(spec: ArchSpec, layers: tuple[Layer, ...]) -> Iterator[Row]:
    """Yield one row for each layer behind the body; a separable convolution and its inputs are one."""
    pending: list[Layer] = []
    for layer in layers:
        pending.append(layer)
        if layer.name.endswith((" squeeze", " depthwise")):
            continue
        first, spatial = pending[0], max(pending, key=lambda one: one.kernel)
        kind = "sepconv" if spatial.groups > 1 else "conv2d"
        act = _HEAD_ACTS.get(layer.name.split()[0], "relu")
        if layer.name == "conv":
            act = spec.head.act
        row = _plain(
            "conv" if layer.name == "conv" else "head",
            first,
            spec.resolution // first.in_px,
            f"{kind} {spatial.kernel}x{spatial.kernel}, {layer.name}",
            act=act if first.norm else None,
        )
        yield replace(
            row,
            expand=spatial.cout if spatial.groups > 1 else None,
            out=layer.cout,
            stride=spatial.stride,
            params=sum(one.params for one in pending),
            madds=sum(one.madds for one in pending),
        )
        pending = []


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as text, in the order of `HEADINGS`, with dashes for missing values."""
    return (
        f"{row.in_px}²x{row.cin}",
        row.operator,
        str(row.expand or "-"),
        str(row.out or "-"),
        f"✓ {row.se}" if row.se else "-",
        NONLINEARITIES[row.act] if row.act else "-",
        str(row.stride),
        {"none": "-", "identity": "id", "pool": "pool"}[row.skip],
        f"{row.params:,}" if row.params else "-",
        millions(row.madds) if row.madds else "-",
    )


def millions(madds: int) -> str:
    """Format MAdds in millions.

    >>> millions(16_687_000), millions(4_608)
    ('16.69M', '0.005M')
    """
    return f"{madds / 1e6:.2f}M" if madds >= 10_000 else f"{madds / 1e6:.3f}M"


def short(params: int) -> str:
    """Format a number of parameters with three or four digits.

    >>> short(464), short(32_080), short(1_230_080)
    ('464', '32.1k', '1.23M')
    """
    if params < 1_000:
        return str(params)
    return f"{params / 1e3:.1f}k" if params < 999_950 else f"{params / 1e6:.2f}M"


Pair = tuple[Row | None, Row | None]
"""Aligned rows of two networks; None if one has no counterpart."""


@dataclass(frozen=True)
class PairedStage:
    """Aligned rows of two networks at one resolution of the feature map, or in the last stage.

    Attributes:
        name: Side of the map (of both, if resolutions differ), or `last stage`.
        pairs: Aligned rows.
    """

    name: str
    pairs: tuple[Pair, ...]

    def rows(self, side: Literal[0, 1]) -> tuple[Row, ...]:
        """Return one network's rows."""
        return tuple(row for row in (pair[side] for pair in self.pairs) if row)


def side_by_side(left: ArchSpec, right: ArchSpec) -> tuple[PairedStage, ...]:
    """Align two networks: bodies by the reduction of their maps, last stages by layer.

    >>> from search_spaces.references import mobilenet_v2, mobilenet_v3_large
    >>> stages = side_by_side(mobilenet_v2(), mobilenet_v3_large())
    >>> [(stage.name, len(stage.pairs)) for stage in stages]
    [('224²', 1), ('112²', 2), ('56²', 2), ('28²', 3), ('14²', 7), ('7²', 3), ('last stage', 4)]
    """
    a, b = layer_table(left), layer_table(right)
    bodies = {row.reduction for row in (*a, *b) if row.part in ("stem", "block")}
    stages = [
        tuple(zip_longest(_body(a, reduction), _body(b, reduction))) for reduction in sorted(bodies)
    ]
    last = tuple((_layer(a, part), _layer(b, part)) for part in LAST_STAGE)
    last += tuple(zip_longest(_part(a, "head"), _part(b, "head")))
    return (
        *(PairedStage(_name(pairs), pairs) for pairs in stages),
        PairedStage("last stage", tuple(pair for pair in last if any(pair))),
    )


def _body(table: Iterable[Row], reduction: int) -> Iterator[Row | None]:
    return (r for r in table if r.part in ("stem", "block") and r.reduction == reduction)


def _part(table: Iterable[Row], part: Part) -> Iterator[Row | None]:
    return (row for row in table if row.part == part)


def _layer(table: Iterable[Row], part: Part) -> Row | None:
    return next(_part(table, part), None)


def _name(pairs: Iterable[Pair]) -> str:
    sides = dict.fromkeys(row.in_px for pair in pairs for row in pair if row)
    return " / ".join(f"{px}²" for px in sides)
