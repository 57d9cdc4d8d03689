"""MobileNetV2: inverted residuals with linear bottlenecks (arXiv 1801.04381, table 2)."""

from __future__ import annotations

from search_spaces.references.reference import CLASSES, RESOLUTION, reference
from search_spaces.references.stages import bottlenecks
from search_spaces.spec import ArchSpec, HeadSpec, StemSpec
from search_spaces.widths import Scale

_STAGES = (
    "r1_k3_s1_e1_o16 r2_k3_s2_e6_o24 r3_k3_s2_e6_o32 r4_k3_s2_e6_o64 r3_k3_s1_e6_o96 "
    "r3_k3_s2_e6_o160 r1_k3_s1_e6_o320"
)


@reference
def mobilenet_v2(scale: Scale) -> ArchSpec:
    """MobileNetV2; below width 1 its last layer keeps 1280 channels, in both conventions."""
    stem_out = scale(32)
    return ArchSpec(
        resolution=RESOLUTION,
        bn_eps=1e-5,
        stem=StemSpec(out=stem_out, kernel=3, stride=2, act="relu6"),
        blocks=tuple(bottlenecks(_STAGES, stem_out=stem_out, scale=scale, act="relu6")),
        head=HeadSpec(conv=scale.last(1280), hidden=0, act="relu6", dropout=0.2, classes=CLASSES),
    )
