"""Published networks as specs: what a search's result stands beside."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.spec import Act, ArchSpec, BlockSpec, HeadSpec, StemSpec


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to a multiple of `divisor`, never losing more than a tenth (MobileNetV2's rule).

    >>> [make_divisible(v) for v in (12, 18, 20, 3)]
    [16, 24, 24, 8]
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def mobilenet_v2(*, resolution: int = 224, classes: int = 1000) -> ArchSpec:
    """MobileNetV2 1.0 (arXiv 1801.04381, table 2)."""
    table = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
    )
    stages = [(3, t, out, n, s, 0.0) for t, out, n, s in (*table, (6, 320, 1, 1))]
    return _mnasnet_like(32, stages, "relu6", 1280, resolution, classes, bn_eps=1e-5)


def mnasnet_a1(*, resolution: int = 224, classes: int = 1000) -> ArchSpec:
    """MnasNet-A1 (arXiv 1807.11626, figure 7), with squeeze-and-excite."""
    stages = [
        (3, 1, 16, 1, 1, 0.0),
        (3, 6, 24, 2, 2, 0.0),
        (5, 3, 40, 3, 2, 0.25),
        (3, 6, 80, 4, 2, 0.0),
        (3, 6, 112, 2, 1, 0.25),
        (5, 6, 160, 3, 2, 0.25),
        (3, 6, 320, 1, 1, 0.0),
    ]
    return _mnasnet_like(32, stages, "relu", 1280, resolution, classes, bn_eps=1e-3)


def mnasnet_b1(*, resolution: int = 224, classes: int = 1000) -> ArchSpec:
    """MnasNet-B1: torchvision's `mnasnet1_0`, without squeeze-and-excite."""
    stages = [
        (3, 1, 16, 1, 1, 0.0),
        (3, 3, 24, 3, 2, 0.0),
        (5, 3, 40, 3, 2, 0.0),
        (5, 6, 80, 3, 2, 0.0),
        (3, 6, 96, 2, 1, 0.0),
        (5, 6, 192, 4, 2, 0.0),
        (3, 6, 320, 1, 1, 0.0),
    ]
    return _mnasnet_like(32, stages, "relu", 1280, resolution, classes, bn_eps=1e-5)


def _mnasnet_like(
    stem: int,
    stages: list[tuple[int, int, int, int, int, float]],
    act: Act,
    head: int,
    resolution: int,
    classes: int,
    *,
    bn_eps: float,
) -> ArchSpec:
    """Stages of (kernel, expansion ratio, out, repeats, first stride, SE ratio of the input)."""
    blocks: list[BlockSpec] = []
    channels = stem
    for kernel, ratio, out, repeats, first_stride, se_ratio in stages:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            blocks.append(
                BlockSpec(
                    op="sepconv" if ratio == 1 else "mbconv",
                    kernel=kernel,
                    stride=2 if stride == 2 else 1,
                    expand=0 if ratio == 1 else channels * ratio,
                    out=out,
                    se=int(channels * se_ratio),
                    gate="sigmoid" if se_ratio else "none",
                    act=act,
                    linear=True,
                    skip="identity" if stride == 1 and channels == out else "none",
                )
            )
            channels = out
    return ArchSpec(
        resolution=resolution,
        bn_eps=bn_eps,
        stem=StemSpec(out=stem, kernel=3, stride=2, act=act),
        blocks=tuple(blocks),
        head=HeadSpec(conv=head, hidden=0, act=act, dropout=0.2, classes=classes),
    )


_V3_LARGE = """16,3,16,16,-,RE,1 16,3,64,24,-,RE,2 24,3,72,24,-,RE,1 24,5,72,40,SE,RE,2
40,5,120,40,SE,RE,1 40,5,120,40,SE,RE,1 40,3,240,80,-,HS,2 80,3,200,80,-,HS,1 80,3,184,80,-,HS,1
80,3,184,80,-,HS,1 80,3,480,112,SE,HS,1 112,3,672,112,SE,HS,1 112,5,672,160,SE,HS,2
160,5,960,160,SE,HS,1 160,5,960,160,SE,HS,1"""
_V3_SMALL = """16,3,16,16,SE,RE,2 16,3,72,24,-,RE,2 24,3,88,24,-,RE,1 24,5,96,40,SE,HS,2
40,5,240,40,SE,HS,1 40,5,240,40,SE,HS,1 40,5,120,48,SE,HS,1 48,5,144,48,SE,HS,1
48,5,288,96,SE,HS,2 96,5,576,96,SE,HS,1 96,5,576,96,SE,HS,1"""


def mobilenet_v3_large(*, resolution: int = 224, classes: int = 1000) -> ArchSpec:
    """MobileNetV3-Large (arXiv 1905.02244, table 1)."""
    return _mobilenet_v3(_V3_LARGE, 960, 1280, resolution, classes)


def mobilenet_v3_small(*, resolution: int = 224, classes: int = 1000) -> ArchSpec:
    """MobileNetV3-Small (arXiv 1905.02244, table 2; hidden layer of 1024 as in the final text)."""
    return _mobilenet_v3(_V3_SMALL, 576, 1024, resolution, classes)


def _mobilenet_v3(table: str, conv: int, hidden: int, resolution: int, classes: int) -> ArchSpec:
    blocks = tuple(_v3_block(row) for row in table.split())
    return ArchSpec(
        resolution=resolution,
        bn_eps=1e-3,
        stem=StemSpec(out=16, kernel=3, stride=2, act="hswish"),
        blocks=blocks,
        head=HeadSpec(conv=conv, hidden=hidden, act="hswish", dropout=0.2, classes=classes),
    )


def _v3_block(row: str) -> BlockSpec:
    """A row `in,kernel,expansion,out,SE,activation,stride` of the paper's tables."""
    cin, kernel, expand, out, se, act, stride = row.split(",")
    return BlockSpec(
        op="sepconv" if expand == cin else "mbconv",
        kernel=int(kernel),
        stride=2 if stride == "2" else 1,
        expand=0 if expand == cin else int(expand),
        out=int(out),
        se=make_divisible(int(expand) / 4) if se == "SE" else 0,
        gate="hsigmoid" if se == "SE" else "none",
        act="hswish" if act == "HS" else "relu",
        linear=True,
        skip="identity" if stride == "1" and cin == out else "none",
    )


REFERENCES: dict[str, Callable[..., ArchSpec]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
    "mnasnet_a1": mnasnet_a1,
    "mnasnet_b1": mnasnet_b1,
}
"""Every reference network by name; each takes `resolution` in pixels and the number of `classes`."""
