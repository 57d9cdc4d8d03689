"""Block strings: a stage of equal inverted bottlenecks in one line, as in MnasNet's code.

`r2_k3_s2_e6_o24_se0.25` is two layers with kernel 3, the first with stride 2, expansion ratio 6, 24 output
channels and squeeze-and-excite at a quarter of the *input* channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from search_spaces.field_types import Act
from search_spaces.spec import BlockSpec
from search_spaces.widths import Scale

_STAGE = re.compile(r"r(\d+)_k(\d+)_s([12])_e(\d+)_o(\d+)(?:_se([\d.]+))?")


def bottlenecks(stages: str, *, stem_out: int, scale: Scale, act: Act) -> Iterator[BlockSpec]:
    """Yield the blocks of stages separated by spaces; a ratio of 1 has no expansion."""
    channels = stem_out
    for stage in stages.split():
        matched = _STAGE.fullmatch(stage)
        assert matched is not None, stage
        repeats, kernel, stride, ratio, out = (int(part) for part in matched.groups()[:5])
        se_ratio = float(matched[6] or 0)
        for repeat in range(repeats):
            yield _bottleneck(
                channels,
                scale(out),
                kernel=kernel,
                strided=stride == 2 and repeat == 0,
                ratio=ratio,
                se_ratio=se_ratio,
                act=act,
            )
            channels = scale(out)


def _bottleneck(
    cin: int, out: int, *, kernel: int, strided: bool, ratio: int, se_ratio: float, act: Act
) -> BlockSpec:
    return BlockSpec(
        op="sepconv" if ratio == 1 else "mbconv",
        kernel=kernel,
        stride=2 if strided else 1,
        expand=0 if ratio == 1 else cin * ratio,
        out=out,
        se=max(1, int(cin * se_ratio)) if se_ratio else 0,
        gate="sigmoid" if se_ratio else "none",
        act=act,
        linear=True,
        skip="identity" if cin == out and not strided else "none",
    )
