"""MobileNetV3: searched, refined by NetAdapt, and improved by hand (arXiv 1905.02244, tables 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search_spaces.field_types import Act
from search_spaces.improvements import without_improvements
from search_spaces.references.reference import CLASSES, RESOLUTION, reference
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec
from search_spaces.widths import Scale, make_divisible


@dataclass(frozen=True)
class _Table:
    """A network's blocks, one `in,kernel,expansion,out,SE,activation,stride` each, and its last stage."""

    blocks: str
    conv: int
    hidden: int


_LARGE = _Table(
    """16,3,16,16,-,RE,1 16,3,64,24,-,RE,2 24,3,72,24,-,RE,1 24,5,72,40,SE,RE,2
    40,5,120,40,SE,RE,1 40,5,120,40,SE,RE,1 40,3,240,80,-,HS,2 80,3,200,80,-,HS,1
    80,3,184,80,-,HS,1 80,3,184,80,-,HS,1 80,3,480,112,SE,HS,1 112,3,672,112,SE,HS,1
    112,5,672,160,SE,HS,2 160,5,960,160,SE,HS,1 160,5,960,160,SE,HS,1""",
    conv=960,
    hidden=1280,
)
# Older versions of the paper have a hidden layer of 1280, 66M MAdds and 2.9M parameters.
_SMALL = _Table(
    """16,3,16,16,SE,RE,2 16,3,72,24,-,RE,2 24,3,88,24,-,RE,1 24,5,96,40,SE,HS,2
    40,5,240,40,SE,HS,1 40,5,240,40,SE,HS,1 40,5,120,48,SE,HS,1 48,5,144,48,SE,HS,1
    48,5,288,96,SE,HS,2 96,5,576,96,SE,HS,1 96,5,576,96,SE,HS,1""",
    conv=576,
    hidden=1024,
)


@reference
def mobilenet_v3_large(scale: Scale) -> ArchSpec:
    """MobileNetV3-Large (table 1)."""
    return _mobilenet_v3(_LARGE, scale)


@reference
def mobilenet_v3_small(scale: Scale) -> ArchSpec:
    """MobileNetV3-Small (table 2, with the final text's hidden layer of 1024)."""
    return _mobilenet_v3(_SMALL, scale)


@reference
def mobilenet_v3_large_minimalistic(scale: Scale) -> ArchSpec:
    """MobileNetV3-Large for accelerators: no squeeze-and-excite, no h-swish, 3x3 kernels only."""
    return _mobilenet_v3(_LARGE, scale, minimalistic=True)


@reference
def mobilenet_v3_small_minimalistic(scale: Scale) -> ArchSpec:
    """MobileNetV3-Small for accelerators: no squeeze-and-excite, no h-swish, 3x3 kernels only."""
    return _mobilenet_v3(_SMALL, scale, minimalistic=True)


@reference
def mobilenet_v3_large_unimproved(scale: Scale) -> ArchSpec:
    """MobileNetV3-Large before the improvements of section 5, which `improvements.py` applies."""
    return without_improvements(_mobilenet_v3(_LARGE, scale))


@reference
def mobilenet_v3_small_unimproved(scale: Scale) -> ArchSpec:
    """MobileNetV3-Small before the improvements of section 5, which `improvements.py` applies."""
    return without_improvements(_mobilenet_v3(_SMALL, scale))


def _mobilenet_v3(table: _Table, scale: Scale, *, minimalistic: bool = False) -> ArchSpec:
    act: Act = "relu" if minimalistic else "hswish"
    paper = scale.convention == "paper"
    return ArchSpec(
        resolution=RESOLUTION,
        bn_eps=1e-3,
        stem=StemSpec(out=scale(16), kernel=3, stride=2, act=act),
        blocks=tuple(
            _block(row.split(","), scale, minimalistic=minimalistic) for row in table.blocks.split()
        ),
        head=HeadSpec(
            conv=_last_conv(table, scale),
            hidden=scale.last(table.hidden) if paper else scale(table.hidden),
            act=act,
            dropout=0.2,
            classes=CLASSES,
        ),
    )


def _last_conv(table: _Table, scale: Scale) -> int:
    if scale.convention == "paper":
        return scale(table.conv)
    last_out = int(table.blocks.split()[-1].split(",")[3])
    return 6 * scale(last_out)


def _block(row: list[str], scale: Scale, *, minimalistic: bool) -> BlockSpec:
    cin, kernel, expand, out = (int(number) for number in row[:4])
    se, act, stride = row[4:]
    inner = _expansion(cin, expand, scale)
    excites = se == "SE" and not minimalistic
    strided: Literal[1, 2] = 2 if stride == "2" else 1
    return BlockSpec(
        op="sepconv" if inner == scale(cin) else "mbconv",
        kernel=3 if minimalistic else kernel,
        stride=strided,
        expand=0 if inner == scale(cin) else inner,
        out=scale(out),
        se=make_divisible(inner // 4) if excites else 0,
        gate="hsigmoid" if excites else "none",
        act="hswish" if act == "HS" and not minimalistic else "relu",
        linear=True,
        skip="identity" if strided == 1 and scale(cin) == scale(out) else "none",
    )


def _expansion(cin: int, expand: int, scale: Scale) -> int:
    if scale.convention == "paper":
        return make_divisible(scale(cin) * expand / cin)
    return scale(expand)
