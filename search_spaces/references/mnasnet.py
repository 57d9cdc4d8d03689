"""MnasNet: found by platform-aware search (arXiv 1807.11626).

The block strings are those of its published code. There as in torchvision, the width multiplier does not
scale the 1x1 convolution of 1280 channels before the pool.
"""

from __future__ import annotations

from search_spaces.references.reference import CLASSES, RESOLUTION, reference
from search_spaces.references.stages import bottlenecks
from search_spaces.spec import ArchSpec, HeadSpec, StemSpec
from search_spaces.widths import Scale

_HEAD = 1280
_A1 = (
    "r1_k3_s1_e1_o16 r2_k3_s2_e6_o24 r3_k5_s2_e3_o40_se0.25 r4_k3_s2_e6_o80 "
    "r2_k3_s1_e6_o112_se0.25 r3_k5_s2_e6_o160_se0.25 r1_k3_s1_e6_o320"
)
_B1 = (
    "r1_k3_s1_e1_o16 r3_k3_s2_e3_o24 r3_k5_s2_e3_o40 r3_k5_s2_e6_o80 "
    "r2_k3_s1_e6_o96 r4_k5_s2_e6_o192 r1_k3_s1_e6_o320"
)
_SMALL = (
    "r1_k3_s1_e1_o8 r1_k3_s2_e3_o16 r2_k3_s2_e6_o16 r4_k5_s2_e6_o32_se0.25 "
    "r3_k3_s1_e6_o32_se0.25 r3_k5_s2_e6_o88_se0.25 r1_k3_s1_e6_o144"
)


@reference
def mnasnet_a1(scale: Scale) -> ArchSpec:
    """MnasNet-A1, with squeeze-and-excite (figure 7 of the paper; timm's `semnasnet`)."""
    return _mnasnet(_A1, scale(32), scale, 0.2, bn_eps=1e-3)


@reference
def mnasnet_b1(scale: Scale) -> ArchSpec:
    """MnasNet-B1, without squeeze-and-excite: torchvision's `mnasnet`, with its batch norm."""
    return _mnasnet(_B1, scale(32), scale, 0.2, bn_eps=1e-5)


@reference
def mnasnet_small(scale: Scale) -> ArchSpec:
    """MnasNet-Small, searched for 20 ms."""
    return _mnasnet(_SMALL, scale(8), scale, 0.0, bn_eps=1e-3)


def _mnasnet(
    stages: str,
    stem_out: int,
    scale: Scale,
    dropout: float,
    *,
    bn_eps: float,
) -> ArchSpec:
    return ArchSpec(
        resolution=RESOLUTION,
        bn_eps=bn_eps,
        stem=StemSpec(out=stem_out, kernel=3, stride=2, act="relu"),
        blocks=tuple(bottlenecks(stages, stem_out=stem_out, scale=scale, act="relu")),
        head=HeadSpec(conv=_HEAD, hidden=0, act="relu", dropout=dropout, classes=CLASSES),
    )
